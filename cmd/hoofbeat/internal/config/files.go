package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
)

// CheckFiles reads every file that the configuration names, so that a mistake
// shows before the broker starts.
func (c *Config) CheckFiles() error {
	var problems []error
	if c.Auth.Users.File != "" {
		_, err := LoadUsers(c.Auth.Users.File)
		problems = append(problems, About("auth.users.file", err))
	}
	if c.TLS.Cert != "" {
		if _, err := c.TLS.Load(); err != nil {
			problems = append(problems, err)
		}
	}
	if c.Store.Dir != "" {
		_, err := c.StoreKey()
		_, oldErr := c.OldStoreKey()
		problems = append(problems, err, oldErr)
	}
	return errors.Join(problems...)
}

// Load reads the files of the section and returns what a listener needs.
func (t TLS) Load() (*tls.Config, error) {
	cert, err := os.ReadFile(t.Cert)
	if err != nil {
		return nil, &KeyError{Key: "tls.cert, tls.key", Text: err.Error()}
	}
	key, err := ReadPrivate(t.Key, maxFile)
	if err != nil {
		return nil, &KeyError{Key: "tls.cert, tls.key", Text: err.Error()}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, &KeyError{Key: "tls.cert, tls.key", Text: err.Error()}
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.ClientCA == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, &KeyError{Key: "tls.client_ca", Text: err.Error()}
	}
	conf.ClientCAs = x509.NewCertPool()
	if !conf.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, &KeyError{Key: "tls.client_ca", Text: t.ClientCA + " has no certificate"}
	}
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	return conf, nil
}
