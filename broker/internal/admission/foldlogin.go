package admission

import (
	"hash/maphash"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/auth"
)

// loginHash identifies a login for the throttle, regardless of its spelling: it
// ignores case and surrounding white space. A backend may treat "Ann", "aNN"
// and " ann" as one user; with separate hashes, each spelling would have its
// own free failures. Only the beginning of a login that is longer than any name
// counts.
func loginHash(seed maphash.Seed, login string) uint64 {
	login = strings.TrimSpace(login)
	login = login[:min(len(login), auth.MaxNameBytes)]
	if plain(login) {
		return maphash.String(seed, login)
	}
	var h maphash.Hash
	h.SetSeed(seed)
	var encoded [utf8.UTFMax]byte
	for len(login) > 0 {
		r, size := utf8.DecodeRuneInString(login)
		if r == utf8.RuneError && size == 1 {
			_ = h.WriteByte(login[0]) // never fails
		} else {
			_, _ = h.Write(utf8.AppendRune(encoded[:0], foldedRune(r))) // never fails
		}
		login = login[size:]
	}
	return h.Sum64()
}

// plain reports whether folding leaves a login unchanged: ASCII without
// capitals.
func plain(login string) bool {
	for i := range len(login) {
		if c := login[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// foldedRune returns the representative of all runes that differ from r only in
// case: the first in Unicode, or its small letter if that first one is an ASCII
// letter.
func foldedRune(r rune) rune {
	first := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		first = min(first, f)
	}
	if 'A' <= first && first <= 'Z' {
		first += 'a' - 'A'
	}
	return first
}
