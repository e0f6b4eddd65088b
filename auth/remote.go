package auth

import (
	"context"
	"net/netip"
)

type remoteKey struct{}

// WithRemote returns a context that carries the client address a credential
// came from, for functions that receive only the credential, such as
// [HandlerOptions].Bearer. Verifiers that ask a remote server divide their
// requests among the addresses, so a client that tries many credentials delays
// only its own address. The ticket endpoint sets the address; set it in a
// program that calls Verify of a bearer.Verifier directly.
func WithRemote(ctx context.Context, addr netip.Addr) context.Context {
	return context.WithValue(ctx, remoteKey{}, addr)
}

// RemoteOf returns the address that [WithRemote] set, or the zero Addr. All
// callers without an address share the allowance of one.
func RemoteOf(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(remoteKey{}).(netip.Addr)
	return addr
}
