package admission

import (
	"hash/maphash"
	"strings"
	"testing"
	"unicode"
)

func TestLoginHashIgnoresCaseAndBlanks(t *testing.T) {
	seed := maphash.MakeSeed()
	for _, same := range [][]string{
		{"ann", "Ann", "ANN", "aNN", " ann", "ann\t", "\u00a0Ann "},
		{"kate s", "Kate S", "\u212aATE \u017f"}, // KELVIN SIGN, LONG S
		{"jürgen", "JÜRGEN"},
		{"straße", "STRA\u1e9eE"},
		{"σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ"},
		{"a\xffb", "A\xffB"},
		{strings.Repeat("é", 512), strings.Repeat("É", 512), strings.Repeat("É", 600)}, // longer than a name
	} {
		for _, login := range same[1:] {
			if loginHash(seed, login) != loginHash(seed, same[0]) {
				t.Errorf("%.40q and %.40q are two logins", login, same[0])
			}
		}
	}
	seen := make(map[uint64]string)
	for _, login := range []string{"", "ann", "anna", "an n", "änn", "a\xffb", "a\xfeb", "a\ufffdb", "bob", strings.Repeat("é", 511)} {
		h := loginHash(seed, login)
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q are one login", login, other)
		}
		seen[h] = login
	}
	if loginHash(seed, "ann") != maphash.String(seed, "ann") {
		t.Error("a plain login is not hashed as it is")
	}
}

// All runes that Unicode folds to each other have one that stands for them.
func TestFoldedRune(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		f := foldedRune(r)
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			if foldedRune(o) != f {
				t.Fatalf("%U and %U are folded to %U and %U", r, o, f, foldedRune(o))
			}
		}
		if 'a' <= r && r <= 'z' && f != r {
			t.Errorf("%U is folded to %U", r, f)
		}
	}
}

func TestLoginHashAllocatesNothing(t *testing.T) {
	seed := maphash.MakeSeed()
	for _, login := range []string{"ann@example.com", "Ann", "JÜRGEN"} {
		if n := testing.AllocsPerRun(100, func() { loginHash(seed, login) }); n != 0 {
			t.Errorf("%q: %v allocations", login, n)
		}
	}
}
