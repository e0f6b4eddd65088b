package cluster

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
)

// claims are values of every kind that can be kept.
func claims(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "text") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "bool") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Float64().Draw(t, "float") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Float32().Draw(t, "float") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Int().Draw(t, "int") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Int64().Draw(t, "int") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Uint64().Draw(t, "uint") }),
		rapid.Custom(func(t *rapid.T) any { return json.Number(rapid.StringMatching(`-?[0-9]{1,30}`).Draw(t, "number")) }),
		rapid.Custom(func(t *rapid.T) any { return time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "time"), 5) }),
		rapid.Custom(func(t *rapid.T) any { return texts().Draw(t, "texts") }),
		rapid.Just[any]([]any(nil)), rapid.Just[any](map[string]any(nil)), rapid.Just[any]([]string(nil)),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(claims(depth-1), 0, 4).Draw(t, "list") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(rapid.String(), claims(depth-1), 0, 4).Draw(t, "map") }))
	}
	return rapid.OneOf(kinds...)
}

func texts() *rapid.Generator[[]string] {
	return rapid.OneOf(rapid.Just[[]string](nil), rapid.SliceOfN(rapid.String(), 0, 4))
}

func instant() *rapid.Generator[time.Time] {
	return rapid.OneOf(rapid.Just(time.Time{}), rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-1e10, 1e11).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
	}))
}

func principals() *rapid.Generator[*auth.Principal] {
	return rapid.Custom(func(t *rapid.T) *auth.Principal {
		return &auth.Principal{
			Name: rapid.String().Draw(t, "name"), Roles: texts().Draw(t, "roles"), Scopes: texts().Draw(t, "scopes"),
			Claims:  rapid.OneOf(rapid.Just[map[string]any](nil), rapid.MapOfN(rapid.String(), claims(3), 0, 6)).Draw(t, "claims"),
			Expires: instant().Draw(t, "expires"), Issued: instant().Draw(t, "issued"),
			CredentialID: rapid.String().Draw(t, "credential"), Method: rapid.String().Draw(t, "method"), Passcode: rapid.Bool().Draw(t, "passcode"),
		}
	})
}

// Whatever a principal consists of, it is the same after it was kept: the types
// of its claims, nil and empty lists, and times to the nanosecond.
func TestPrincipalsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := principals().Draw(t, "principal")
		r := ticket.Record{
			Subject: rapid.String().Draw(t, "subject"), Origin: rapid.String().Draw(t, "origin"), Principal: p,
			Expires: instant().Draw(t, "expires"), Source: rapid.String().Draw(t, "source"), Epoch: rapid.Uint64().Draw(t, "epoch"),
		}
		value, err := encodeTicket(&r)
		if err != nil {
			t.Fatal(err)
		}
		got, until, err := decodeTicket(value)
		if err != nil || !until.Equal(p.Expires) {
			t.Fatal(err, until)
		}
		if !got.Expires.Equal(r.Expires) || !got.Principal.Expires.Equal(p.Expires) || !got.Principal.Issued.Equal(p.Issued) {
			t.Fatalf("times %+v, want %+v", got.Principal, p)
		}
		if got.Expires.IsZero() != r.Expires.IsZero() || got.Principal.Expires.IsZero() != p.Expires.IsZero() {
			t.Fatal("no time has become a time")
		}
		same := *p
		same.Expires, same.Issued = got.Principal.Expires, got.Principal.Issued
		if !equal(reflect.ValueOf(got.Principal.Claims), reflect.ValueOf(same.Claims)) {
			t.Fatalf("claims %#v, want %#v", got.Principal.Claims, p.Claims)
		}
		same.Claims = got.Principal.Claims
		want := r
		want.Principal, want.Expires = &same, got.Expires
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, want %+v", got, want)
		}
		// No part of an entry is taken for the whole.
		cut := rapid.IntRange(0, len(value)-1).Draw(t, "cut")
		if _, _, err := decodeTicket(value[:cut]); err == nil {
			t.Fatalf("%d of %d bytes are read as a ticket", cut, len(value))
		}
	})
}

// equal is reflect.DeepEqual, but that NaN equals itself and times are compared
// as instants.
func equal(a, b reflect.Value) bool {
	if a.IsValid() != b.IsValid() || !a.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	if a.Type() != b.Type() {
		return false
	}
	if at, ok := a.Interface().(time.Time); ok {
		return at.Equal(b.Interface().(time.Time))
	}
	switch a.Kind() {
	case reflect.Interface:
		return equal(a.Elem(), b.Elem())
	case reflect.Float32, reflect.Float64:
		return math.Float64bits(a.Float()) == math.Float64bits(b.Float())
	case reflect.Map:
		if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
			return false
		}
		for _, k := range a.MapKeys() {
			if v := b.MapIndex(k); !v.IsValid() || !equal(a.MapIndex(k), v) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !equal(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// A field that is added to a principal must be kept, or it is lost in tickets.
func TestAllFieldsOfAPrincipalAreKept(t *testing.T) {
	if n := reflect.TypeFor[auth.Principal]().NumField(); n != 10 {
		t.Errorf("a Principal has %d fields; encoder.principal knows 9, and Recheck", n)
	}
}

// What cannot be kept is refused, and not changed.
func TestClaimsThatCannotBeKept(t *testing.T) {
	deep := any("x")
	for range maxDepth + 2 {
		deep = []any{deep}
	}
	for _, claim := range []any{struct{}{}, make(chan int), []int{1}, deep, map[string]any{"a": []any{int8(1)}}} {
		p := &auth.Principal{Name: "alice", Claims: map[string]any{"c": claim}}
		if _, err := encodeTicket(&ticket.Record{Principal: p}); err == nil {
			t.Errorf("%T is kept", claim)
		}
	}
}

func FuzzDecodeTicket(f *testing.F) {
	value, err := encodeTicket(&ticket.Record{Subject: "alice", Principal: &auth.Principal{
		Name: "alice", Roles: []string{"r"}, Claims: map[string]any{"a": []any{1, "x", nil, map[string]any{"b": 1.5}}}, Expires: time.Now(),
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add([]byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = decodeTicket(b) })
}
