package auth

import (
	"context"
	"net/netip"
)

type remoteKey struct{}

// WithRemote returns a context that says which client address a credential came
// from, for functions that are given only the credential, such as
// [HandlerOptions].Bearer. What asks a server of somebody else about credentials
// shares its requests out among the addresses, so that a stranger who tries many
// credentials delays only himself. [Tickets.Handler] sets it; a program that calls
// Verify of a bearer.Verifier itself should.
func WithRemote(ctx context.Context, addr netip.Addr) context.Context {
	return context.WithValue(ctx, remoteKey{}, addr)
}

// RemoteOf returns the address that [WithRemote] has set, or the zero Addr. All
// who have none share what one address may use.
func RemoteOf(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(remoteKey{}).(netip.Addr)
	return addr
}
