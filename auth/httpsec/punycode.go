package httpsec

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

var errLabel = errors.New("not an origin that can be compared: write the host as browsers send it, in the form xn--… (punycode)")

// toASCII returns a label of a host as browsers send it: "xn--" and punycode if
// it has non-ASCII letters. Unlike browsers it does not map characters, such as
// full-width letters, so a label with them matches no page. A label in
// decomposed form, where a letter and its accent are two characters, is an
// error, because it looks correct.
func toASCII(label string) (string, error) {
	ascii := true
	for _, r := range label {
		switch {
		case r < utf8.RuneSelf:
			continue
		case r == utf8.RuneError || r >= 0x300 && r < 0x370 || !unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit):
			return "", errLabel
		}
		ascii = false
	}
	if ascii {
		return label, nil
	}
	if len(label) > 4*63 { // punycode takes time quadratic in the length
		return "", errLabel
	}
	return "xn--" + punycode([]rune(label)), nil
}

// Parameters of RFC 3492 section 5.
const (
	base, tMin, tMax         = 36, 1, 26
	skew, damp               = 38, 700
	initialBias, initialCode = 72, 128
)

// punycode is the encoder of RFC 3492 section 6.3. The caller limits the
// length, so nothing overflows.
func punycode(label []rune) string {
	var out strings.Builder
	for _, r := range label {
		if r < initialCode {
			out.WriteRune(r)
		}
	}
	basic := out.Len()
	done := basic
	if basic > 0 {
		out.WriteByte('-')
	}
	code, delta, bias := rune(initialCode), 0, initialBias
	for done < len(label) {
		next := rune(unicode.MaxRune)
		for _, r := range label {
			if r >= code && r < next {
				next = r
			}
		}
		delta += int(next-code) * (done + 1)
		code = next
		for _, r := range label {
			if r < code {
				delta++
			}
			if r == code {
				writeDelta(&out, delta, bias)
				bias = adapt(delta, done+1, done == basic)
				delta = 0
				done++
			}
		}
		delta++
		code++
	}
	return out.String()
}

// writeDelta writes a number as a variable-length integer.
func writeDelta(out *strings.Builder, delta, bias int) {
	for k := base; ; k += base {
		t := min(max(k-bias, tMin), tMax)
		if delta < t {
			out.WriteByte(digit(delta))
			return
		}
		out.WriteByte(digit(t + (delta-t)%(base-t)))
		delta = (delta - t) / (base - t)
	}
}

func digit(n int) byte { return "abcdefghijklmnopqrstuvwxyz0123456789"[n] }

// adapt is the bias adaptation of RFC 3492 section 6.1.
func adapt(delta, points int, first bool) int {
	if first {
		delta /= damp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for ; delta > (base-tMin)*tMax/2; k += base {
		delta /= base - tMin
	}
	return k + (base-tMin+1)*delta/(delta+skew)
}
