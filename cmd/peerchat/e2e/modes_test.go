//go:build linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// Plain mode is for people with pipes: a line an event, the bare words work, and it is on by itself without a terminal.
func TestPlainMode(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a := w.join("a").ready()
	p := w.startCommand(w.net, lab.Command{
		Name: "plain", Path: binary, Plain: true,
		Args: []string{"join", "--username", "plain", "--tracker", address},
	})
	a.want("a is linked to the plain one", link("plain", "up"))
	shows := func(what string, words ...string) {
		t.Helper()
		p.want(what, func(e lab.Event) bool {
			for _, word := range words {
				if !strings.Contains(e.Raw, word) {
					return false
				}
			}
			return true
		})
	}
	a.say("hello plain")
	shows("the line of a with its name", "a", "hello plain")
	p.say("hello a")
	a.wantLine("a sees the plain line", "hello a")
	p.say("send peers")
	a.wantLine("send says even a word that is a command", "peers")
	p.say("peers")
	shows("the answer to peers", "a", "linked")
	p.say("room dev")
	p.say("in dev")
	a.say("/join dev")
	a.want("a sees the plain one in dev", member("dev", "plain", "joined"))
	a.say("to dev")
	shows("the line in dev", "to dev")
	a.say("evil \x1b[31mred\x1b[0m \x07")
	a.say("after evil")
	shows("the line after the evil one", "after evil")
	for _, e := range p.Lines() {
		if strings.ContainsAny(e.Raw, "\x1b\x07\x00") {
			t.Errorf("plain output holds a control character: %q", e.Raw)
		}
	}
	p.say("exit")
	p.wantExit("exit leaves", 0, patience)
	a.want("a is told that the plain one left", member("general", "plain", "left"))
}

// Scripts rely on the JSON mode: every line is an object with type and time, and answers to queries are there.
func TestJSONMode(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a, b := w.join("a"), w.join("b")
	w.wantMesh(a, b)
	a.say("held by everybody")
	said := a.want("a sees its own line", message("held by everybody"))
	if !said.Self || said.Peer != a.id || said.Seq == 0 {
		t.Errorf("a's own line is not marked as such: %s", said.Raw)
	}
	a.want("a is told that its line is delivered to all", func(e lab.Event) bool {
		var peers int
		return e.Type == "delivered" && e.ID == said.ID && json.Unmarshal(e.Peers, &peers) == nil && peers == 1 && e.Of == 1
	})
	for _, c := range []struct{ line, kind, holds string }{
		{"peers", "peers", b.id}, {"/net", "net", address}, {"/list", "rooms", "general"}, {"/names", "names", b.id}, {"help", "help", "/join"},
	} {
		a.say(c.line)
		a.want("the answer to "+c.line, func(e lab.Event) bool { return e.Type == c.kind && strings.Contains(e.Raw, c.holds) })
	}
	a.say("/me waves")
	b.want("b sees the action of a", func(e lab.Event) bool { return e.Type == "message" && e.Text == "waves" && e.Peer == a.id })
	a.say("/nick anna")
	b.want("b sees the new name of a", member("general", "anna", "renamed"))
	a.say("I am Anna now")
	if e := b.wantLine("b sees a line under the new name", "I am Anna now"); e.Name != "anna" {
		t.Errorf("the line after the change of name is shown as one of %q, want anna", e.Name)
	}
	for _, p := range []*peer{a, b} {
		for _, e := range p.Lines() {
			if e.Type == "" || e.Time.IsZero() {
				t.Errorf("%s printed what is no object with type and time: %q", p.Name, e.Raw)
			}
		}
	}
}

// The tracker over TLS: wss:// with a certificate that the system trusts, and not with one that it does not.
func TestTLS(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := selfSigned(cert, key); err != nil {
		t.Fatal(err)
	}
	w.start(w.net, "tracker", nil, "tracker", "--listen", address, "--tls-cert", cert, "--tls-key", key)
	trust := []string{"SSL_CERT_FILE=" + cert}
	args := func(name string) []string {
		return []string{"join", "--json", "--username", name, "--tracker", "wss://" + address, "--no-host"}
	}
	a, b := w.start(w.net, "a", trust, args("a")...), w.start(w.net, "b", trust, args("b")...)
	w.wantMesh(a, b)
	a.say("over TLS")
	b.wantLine("b sees the line of a", "over TLS")
	stranger := w.start(w.net, "stranger", []string{"SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=/nonexistent"}, args("stranger")...)
	stranger.want("a certificate that is not trusted is the reason that is told", func(e lab.Event) bool {
		return e.Type == "tracker" && strings.Contains(e.Raw, "certificate")
	})
	stranger.wantNothing("nobody joins over an untrusted connection", ofType("ready"))
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peerchat test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	err = os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	if err != nil {
		return err
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)
}

// IPv6 and names work as tracker addresses.
func TestAddressForms(t *testing.T) {
	w := newWorld(t)
	tracker := w.start(w.net, "tracker", nil, "tracker", "--listen", ":5000")
	tracker.wantHealthy(w.net, address)
	var peers []*peer
	for i, form := range []string{"127.0.0.1", "localhost:5000", "[::1]:5000", "ws://127.0.0.1:5000", "::1"} {
		peers = append(peers, w.start(w.net, string(rune('a'+i)), nil, "join", "--json", "--username", string(rune('a'+i)),
			"--tracker", form, "--no-host"))
	}
	w.wantMesh(peers...)
	chat := newTalk("chat")
	chat.say(2, peers...)
	chat.want("all find the same tracker, whatever its address is written as", peers...)
}

// Prometheus and health checks find what they look for.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a, b := w.join("a"), w.join("b")
	w.wantMesh(a, b)
	body, err := w.get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(body, "peerchat_") {
		t.Errorf("/metrics has no figure of peerchat:\n%s", body)
	}
	if body, err = w.get("http://" + address + "/healthz"); err != nil || !strings.Contains(body, `"peers":2`) {
		t.Errorf("/healthz does not count two peers: %s, %v", body, err)
	}
}
