package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const hash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

func TestLoadUsers(t *testing.T) {
	got, err := LoadUsers(write(t, "users.yaml", "- name: ann\n  hash: "+hash+"\n  roles: [admin, 7]\n- {name: bob@example.com, hash: '"+hash+"'}\n"))
	want := []User{{"ann", hash, []string{"admin", "7"}}, {"bob@example.com", hash, nil}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("users %+v, %v, want %+v", got, err, want)
	}
}

func TestLoadUsersErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"":                                 "users.yaml: want a list of users",
		"ann: x":                           "users.yaml: want a list of users",
		"- ann":                            "users.yaml:1: users: want a user",
		"- {hash: '" + hash + "'}":         "users.yaml:1: name: is empty",
		"- {name: ann, hash: hunter2}":     "users.yaml:1: hash: is not a bcrypt hash",
		"- {name: ann, password: hunter2}": "users.yaml:1: password: there is no such key",
		"- {name: ann, hsah: hunter2}":     "did you mean hash?",
		"- {name: \"a\\nb\", hash: '" + hash + "'}":                                "has a line end or NUL",
		"- {name: ann, hash: '" + hash + "'}\n- {name: ann, hash: '" + hash + "'}": "users.yaml:2: ann: is a user already, on line 1",
	} {
		_, err := LoadUsers(write(t, "users.yaml", yaml))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", yaml, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), hash)) {
			t.Errorf("%q: a secret is in %v", yaml, err)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"cert.pem":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"key.pem":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"empty.pem":  nil,
		"users.yaml": []byte("[]"),
		"bad.yaml":   []byte("- {name: ann}"),
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }

	c := Default()
	c.TLS = TLS{at("cert.pem"), at("key.pem"), at("cert.pem")}
	c.Auth.Users.File = at("users.yaml")
	if err := c.CheckFiles(); err != nil {
		t.Error(err)
	}
	conf, err := c.TLS.Load()
	if err != nil || conf.ClientAuth != tls.RequireAndVerifyClientCert || conf.ClientCAs == nil || len(conf.Certificates) != 1 {
		t.Errorf("%+v, %v", conf, err)
	}
	c.TLS.ClientCA = at("empty.pem")
	c.Auth.Users.File = at("bad.yaml")
	err = c.CheckFiles()
	for _, want := range []string{"tls.client_ca: " + at("empty.pem") + " has no certificate", "auth.users.file: bad.yaml:1: hash: is not a bcrypt hash"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	c.TLS.Cert = at("none.pem")
	if err := c.CheckFiles(); err == nil || !strings.Contains(err.Error(), "tls.cert, tls.key: ") {
		t.Errorf("error %v", err)
	}
}
