package wsconn

import "unicode/utf8"

// utf8Check validates text that comes in portions; a character may be cut at
// any byte.
type utf8Check struct {
	part [utf8.UTFMax]byte // first bytes of a character that is not complete
	n    uint8             // how many; never UTFMax
}

// open reports whether the text so far ends within a character.
func (c *utf8Check) open() bool { return c.n > 0 }

// next returns how many bytes of p carry the text on without making it invalid:
// len(p), or the index of the first byte that cannot stand there.
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

// cutRune returns how many bytes at the end of p begin a character and do not
// complete it.
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

// firstInvalid finds the byte that makes p invalid; there is one.
func firstInvalid(p []byte) int {
	i := 0
	for {
		r, size := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		i += size
	}
	good := 0 // bytes at i that could have begun a character
	for !utf8.FullRune(p[i : i+good+1]) {
		good++
	}
	return i + good
}
