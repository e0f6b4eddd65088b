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
	if c.Clustered() {
		_, err := c.ClusterSecret()
		_, tlsErr := c.Cluster.TLS.Load()
		problems = append(problems, err, tlsErr, c.checkCredentials())
	}
	if c.Store.Dir != "" {
		_, err := c.StoreKey()
		_, oldErr := c.OldStoreKey()
		problems = append(problems, err, oldErr)
	}
	return errors.Join(problems...)
}

// Load reads the files of the section and returns what both ends of a connection
// need, or nil if there is none. Each end proves that its certificate comes of
// the authorities.
func (t ClusterTLS) Load() (*tls.Config, error) {
	if t.Cert == "" && t.CA == "" {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.Cert != "" {
		pair, err := loadPair("cluster.tls", t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	if t.CA == "" {
		return conf, nil
	}
	pool, err := loadAuthorities("cluster.tls.ca", t.CA)
	if err != nil {
		return nil, err
	}
	conf.RootCAs, conf.ClientCAs, conf.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	return conf, nil
}

// checkCredentials reads the file of the credentials for cluster.url, which
// nobody else may.
func (c *Config) checkCredentials() error {
	name := c.Cluster.CredentialsFile
	if name == "" {
		return nil
	}
	if _, err := ReadPrivate(name, maxSecret); err != nil {
		return &KeyError{Key: "cluster.credentials_file", Text: err.Error()}
	}
	return nil
}

// loadPair reads a certificate and its key, in files of the keys cert and key of
// a section.
func loadPair(section, certFile, keyFile string) (tls.Certificate, error) {
	fail := func(err error) (tls.Certificate, error) {
		return tls.Certificate{}, &KeyError{Key: section + ".cert, " + section + ".key", Text: err.Error()}
	}
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return fail(err)
	}
	key, err := ReadPrivate(keyFile, maxFile)
	if err != nil {
		return fail(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fail(err)
	}
	return pair, nil
}

// loadAuthorities reads the file of certificates that a key names.
func loadAuthorities(key, file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, &KeyError{Key: key, Text: err.Error()}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &KeyError{Key: key, Text: file + " has no certificate"}
	}
	return pool, nil
}

// Load reads the files of the section and returns what a listener needs.
func (t TLS) Load() (*tls.Config, error) {
	pair, err := loadPair("tls", t.Cert, t.Key)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.ClientCA == "" {
		return conf, nil
	}
	if conf.ClientCAs, err = loadAuthorities("tls.client_ca", t.ClientCA); err != nil {
		return nil, err
	}
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	return conf, nil
}
