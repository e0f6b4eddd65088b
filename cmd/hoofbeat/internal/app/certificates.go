package app

import (
	"crypto/tls"
	"net"
	"sync/atomic"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// certificates holds the most recently read files of the section tls. A
// connection uses the certificates that were current at its handshake.
type certificates struct {
	files   config.TLS
	current atomic.Pointer[tls.Config]
}

// newCertificates reads the files. It returns nil if TLS is off.
func newCertificates(files config.TLS) (*certificates, error) {
	if files.Cert == "" {
		return nil, nil
	}
	c := &certificates{files: files}
	return c, c.reload()
}

// reload reads the files again. After an error the old certificates remain.
func (c *certificates) reload() error {
	conf, err := c.files.Load()
	if err != nil {
		return err
	}
	conf.NextProtos = []string{"http/1.1"} // HTTP/2 has no Upgrade
	c.current.Store(conf)
	return nil
}

func (c *certificates) listen(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil },
	})
}
