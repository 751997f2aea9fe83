package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // Mumble's clients keep in it whom they trust

	"peerchat/cmd/peerchat/e2e/lab"
)

const (
	mumblePort    = "64738"
	mumbleDisplay = ":77"
)

// mumble starts a server and two clients of Mumble in the network, on a screen that nobody sees, and awaits that they
// are connected: the first hears the way's microphone, the second plays on its loudspeaker. Everything that costs delay
// is at its lowest.
func (b *bench) mumble(n *lab.Net, s *lab.Sound, w *way, unused string) error {
	for _, program := range []string{"mumble", "murmurd", "Xvfb", "xdotool"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w; install the packages mumble, mumble-server, xvfb and xdotool", err)
		}
	}
	// The server gives up its rights, and must reach its directory then.
	dir, err := os.MkdirTemp("", "murmur")
	if err != nil {
		return err
	}
	b.nets = append(b.nets, directory(dir))
	if err := os.Chmod(dir, 0o777); err != nil {
		return err
	}
	digest, err := certify(dir)
	if err != nil {
		return err
	}
	ini := fmt.Sprintf("database=%[1]s/murmur.sqlite\nlogfile=\nbonjour=False\nhost=127.0.0.1\nport=%[2]s\nbandwidth=558000\nsslCert=%[1]s/cert.pem\nsslKey=%[1]s/key.pem\n",
		dir, mumblePort)
	if err := os.WriteFile(filepath.Join(dir, "murmur.ini"), []byte(ini), 0o644); err != nil {
		return err
	}
	if _, err := b.start(n, lab.Command{Name: "Xvfb", Path: "Xvfb", Args: []string{mumbleDisplay, "-screen", "0", "1000x800x24", "-nolisten", "tcp"}, Plain: true}); err != nil {
		return err
	}
	if _, err := b.startInTime(n, lab.Command{Name: "murmurd", Path: "murmurd", Args: []string{"-fg", "-ini", filepath.Join(dir, "murmur.ini")}, Plain: true}); err != nil {
		return err
	}
	if err := accepts(n, "127.0.0.1:"+mumblePort); err != nil {
		return err
	}
	for _, c := range []struct{ name, in, out string }{{"talks", w.mic + ".monitor", unused}, {"listens", unused + ".monitor", w.ear}} {
		home := filepath.Join(b.dir, "mumble-"+c.name)
		if err := mumbleHome(home, c.in, c.out, digest); err != nil {
			return err
		}
		env := []string{"DISPLAY=" + mumbleDisplay, "PULSE_SERVER=" + s.Server, "QT_X11_NO_MITSHM=1"}
		p, err := b.startInTime(n, lab.Command{Name: "mumble " + c.name, Path: "mumble", Home: home, Plain: true, Env: env,
			Args: []string{"-m", "mumble://" + c.name + "@127.0.0.1:" + mumblePort + "/?version=1.2.0"}})
		if err != nil {
			return err
		}
		if err := mumbleConnected(n, p); err != nil {
			return err
		}
	}
	return nil
}

// directory is removed when the item ends.
type directory string

func (d directory) Close() error { return os.RemoveAll(string(d)) }

// certify makes a certificate for the server, and returns its digest as clients remember it.
func certify(dir string) (digest string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	now := time.Now()
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return "", err
	}
	sum := sha1.Sum(der)
	return hex.EncodeToString(sum[:]), errors.Join(
		os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o644))
}

// mumbleHome writes the settings of a client: continuous transmission of 10 ms packets, shortest buffers, no
// processing. It trusts the server.
func mumbleHome(home, in, out, digest string) error {
	config := filepath.Join(home, "config", "Mumble")
	if err := os.MkdirAll(config, 0o700); err != nil {
		return err
	}
	database := filepath.Join(home, "mumble.sqlite")
	text := fmt.Sprintf(`[General]
lastupdate=2
databaselocation=%s
[audio]
input=PulseAudio
output=PulseAudio
transmit=0
frames=1
framesperpacket=1
quality=96000
jitterbuffer=1
outputdelay=1
noisesupress=0
echo=false
loudness=1000
volume=1
lowlatency=true
[tts]
enable=false
[pulseaudio]
input=%s
output=%s
`, database, in, out)
	if err := os.WriteFile(filepath.Join(config, "Mumble.conf"), []byte(text), 0o600); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", database)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"CREATE TABLE IF NOT EXISTS `cert` (`id` INTEGER PRIMARY KEY AUTOINCREMENT, `hostname` TEXT, `port` INTEGER, `digest` TEXT)",
		"CREATE UNIQUE INDEX IF NOT EXISTS `cert_host_port` ON `cert`(`hostname`,`port`)",
		"INSERT INTO `cert` (`hostname`, `port`, `digest`) VALUES ('127.0.0.1', " + mumblePort + ", '" + digest + "')",
	} {
		if _, err := db.Exec(statement); err != nil {
			return errors.Join(fmt.Errorf("let Mumble trust its server: %w", err), db.Close())
		}
	}
	return db.Close()
}

// mumbleConnected answers the question for a certificate that a client asks at first, and awaits that it has connected.
func mumbleConnected(n *lab.Net, p *lab.Proc) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		if strings.Contains(p.Tail(100), "TLS cipher preference") { // the server has been spoken to
			return nil
		}
		if p.Exited() || time.Now().After(deadline) {
			return fmt.Errorf("%s does not connect\n%s", p.Name, p.Tail(10))
		}
		_ = n.Do(func() error { // there may be no such window, or not any more
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			c := exec.CommandContext(ctx, "xdotool", "search", "--name", "Certificate Management", "windowfocus", "key", "--window", "%1", "Return")
			c.Env = append(os.Environ(), "DISPLAY="+mumbleDisplay)
			return c.Run()
		})
	}
}
