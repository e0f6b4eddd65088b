//go:build nostore

package embedded

import (
	"context"
	"io"

	"github.com/nats-io/nats.go"
)

// Server cannot be started: see [ErrLeftOut].
type Server struct{}

// Start returns [ErrLeftOut], as Check and Rekey do.
func Start(context.Context, Options) (*Server, error) { return nil, ErrLeftOut }

// Check returns [ErrLeftOut].
func Check(context.Context, Options) (*Report, error) { return nil, ErrLeftOut }

// Rekey returns [ErrLeftOut].
func Rekey(context.Context, Options) (bool, error) { return false, ErrLeftOut }

// Export returns [ErrLeftOut].
func Export(context.Context, Options, io.Writer, func(Progress)) (*Report, error) {
	return nil, ErrLeftOut
}

// Import returns [ErrLeftOut].
func Import(context.Context, Options, io.Reader, func(Progress)) (*Report, error) {
	return nil, ErrLeftOut
}

// CopyExport returns [ErrLeftOut].
func CopyExport(io.Writer, io.Reader, func(Progress)) (*Report, error) { return nil, ErrLeftOut }

// Export returns an error.
func (s *Server) Export(context.Context, io.Writer, func(Progress)) (*Report, error) {
	return nil, ErrLeftOut
}

// Streams returns nothing.
func (s *Server) Streams() []StreamUsage { return nil }

// Node returns "".
func (s *Server) Node() string { return "" }

// Runs returns 0.
func (s *Server) Runs() uint64 { return 0 }

// Status returns nothing.
func (s *Server) Status() Status { return Status{} }

// Addr returns "".
func (s *Server) Addr() string { return "" }

// Await returns an error.
func (s *Server) Await(context.Context) error { return ErrLeftOut }

// Connect returns an error.
func (s *Server) Connect(...nats.Option) (*nats.Conn, error) { return nil, ErrLeftOut }

// State returns an error.
func (s *Server) State() State { return State{Err: ErrLeftOut} }

// Health returns an error.
func (s *Server) Health() error { return ErrLeftOut }

// Watch does nothing.
func (s *Server) Watch(func(State)) (stop func()) { return func() {} }

// Room returns an error.
func (s *Server) Room() error { return ErrLeftOut }

// Usage returns nothing.
func (s *Server) Usage() Usage { return Usage{} }

// SetReserve does nothing.
func (s *Server) SetReserve(int64) {}

// Close does nothing.
func (s *Server) Close() error { return nil }

// Link cannot be started: see [ErrLeftOut].
type Link struct{}

// StartLink returns [ErrLeftOut].
func StartLink(context.Context, LinkOptions) (*Link, error) { return nil, ErrLeftOut }

// Addr returns "".
func (l *Link) Addr() string { return "" }

// Connect returns an error.
func (l *Link) Connect(...nats.Option) (*nats.Conn, error) { return nil, ErrLeftOut }

// Close does nothing.
func (l *Link) Close() error { return nil }
