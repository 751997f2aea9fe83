package profile

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxKeyFile bounds what is read of a key file, in bytes; a real one has 197.
const maxKeyFile = 4096

// Key reads the identity key, and makes one where there is none yet. It never changes a file that is
// there: a damaged key, or one that others can read, is an error.
func (p *Profile) Key() (key ed25519.PrivateKey, created bool, err error) {
	path := p.path(keyFile)
	key, err = readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	_, key, err = ed25519.GenerateKey(nil)
	if err != nil {
		return nil, false, fmt.Errorf("make an identity key: %w", err)
	}
	if err := writeFile(path, encodeKey(key)); err != nil {
		return nil, false, fmt.Errorf("store the identity key: %w; choose another directory with --profile DIR", err)
	}
	return key, true, nil
}

func readKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fmt.Errorf("read the identity key: %w; make the file yours, or choose another --profile", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the identity key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("identity key %s is no regular file: move it away", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("identity key %s can be read by others (mode %04o): run chmod 600 %s; if somebody may have copied it, "+
			"move it away and start with a new identity", path, info.Mode().Perm(), path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the identity key %s: %w", path, err)
	}
	key, err := ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("identity key %s is damaged (%w): restore it from a backup, or move it away to start with a new identity",
			path, err)
	}
	return key, nil
}

// ParseKey reads a key file: one PEM block "PRIVATE KEY" that holds an Ed25519 key as PKCS #8 (RFC 5958, 8410), and
// nothing else. Its header "Public-Key" repeats the public half in hexadecimal, so that a flipped bit is a damaged key
// and not another identity. What it accepts is encoded again to the same bytes.
func ParseKey(data []byte) (ed25519.PrivateKey, error) {
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("longer than %d bytes", maxKeyFile)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New(`no PEM block "PRIVATE KEY"`)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a %T, want an Ed25519 key", parsed)
	}
	if string(encodeKey(key)) != string(data) {
		return nil, errors.New("it is not as it was written: the private key, its public key and the form do not agree")
	}
	return key, nil
}

func encodeKey(key ed25519.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic("profile: an Ed25519 key cannot be encoded: " + err.Error()) // there is no such key
	}
	public := hex.EncodeToString(key.Public().(ed25519.PublicKey))
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Headers: map[string]string{"Public-Key": public}, Bytes: der})
}
