// Package interop holds the tests of auth/oauth against an authorization server that others have written, ORY's
// fosite, over real HTTP on loopback. It is a module of its own so that fosite and what it brings along stay out of
// Hoofbeat's dependencies. Run it with
//
//	go test -race ./...
//
// in this folder.
package interop
