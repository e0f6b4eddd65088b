package wsconn

import "unicode/utf8"

// utf8Check validates text that arrives in portions. A portion may end inside a
// character.
type utf8Check struct {
	part [utf8.UTFMax]byte // first bytes of an incomplete character
	n    uint8             // bytes in part; never UTFMax
}

// open reports whether the text so far ends inside a character.
func (c *utf8Check) open() bool { return c.n > 0 }

// next returns how many bytes of p continue the text validly: len(p), or the
// index of the first invalid byte.
func (c *utf8Check) next(p []byte) int {
	done := 0
	for c.n > 0 && done < len(p) {
		c.part[c.n] = p[done]
		r := c.part[:c.n+1]
		switch {
		case !utf8.FullRune(r):
			c.n++
		case utf8.Valid(r):
			c.n = 0
		default:
			return done
		}
		done++
	}
	rest := p[done:]
	whole := len(rest) - cutRune(rest)
	if !utf8.Valid(rest[:whole]) {
		return done + firstInvalid(rest)
	}
	c.n += uint8(copy(c.part[c.n:], rest[whole:]))
	return len(p)
}

// cutRune returns how many bytes at the end of p begin an incomplete character.
func cutRune(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		tail := p[len(p)-n:]
		if utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// firstInvalid returns the index of the byte that makes p invalid. There must
// be one.
func firstInvalid(p []byte) int {
	i := 0
	for {
		r, size := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		i += size
	}
	good := 0 // bytes at i that could begin a character
	for !utf8.FullRune(p[i : i+good+1]) {
		good++
	}
	return i + good
}
