package cluster

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// This file encodes principals. JSON would change the types of claims: a rule
// that compares a whole number must find the same number in a ticket that was
// kept.

// The kinds of claims.
const (
	kindNil byte = iota
	kindString
	kindBool
	kindFloat
	kindInt
	kindInt64
	kindNumber
	kindTexts
	kindList
	kindMap
	kindUint64
	kindTime
	kindFloat32
)

// maxDepth is how deep claims may be nested.
const maxDepth = 100

var (
	errDamaged = errors.New("the entry is damaged")
	errDepth   = fmt.Errorf("claims are nested deeper than %d levels", maxDepth)
)

// encoder appends values. Its first error stays.
type encoder struct {
	b   []byte
	err error
}

func (e *encoder) number(n uint64) { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) signed(n int64)  { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) text(s string)   { e.number(uint64(len(s))); e.b = append(e.b, s...) }

func (e *encoder) flag(f bool) {
	if f {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

// time keeps the instant, but not the location.
func (e *encoder) time(t time.Time) {
	e.flag(!t.IsZero())
	if !t.IsZero() {
		e.signed(t.Unix())
		e.number(uint64(t.Nanosecond())) //nolint:gosec // 0 to 999,999,999
	}
}

// texts distinguishes no list from an empty one.
func (e *encoder) texts(list []string) {
	if list == nil {
		e.number(0)
		return
	}
	e.number(uint64(len(list)) + 1)
	for _, s := range list {
		e.text(s)
	}
}

func (e *encoder) claims(m map[string]any, depth int) {
	if m == nil {
		e.number(0)
		return
	}
	e.number(uint64(len(m)) + 1)
	for name, claim := range m {
		e.text(name)
		e.claim(name, claim, depth)
	}
}

func (e *encoder) claim(name string, claim any, depth int) {
	if depth > maxDepth {
		e.err = errDepth
		return
	}
	switch v := claim.(type) {
	case nil:
		e.b = append(e.b, kindNil)
	case string:
		e.b = append(e.b, kindString)
		e.text(v)
	case bool:
		e.b = append(e.b, kindBool)
		e.flag(v)
	case float64:
		e.b = binary.BigEndian.AppendUint64(append(e.b, kindFloat), math.Float64bits(v))
	case float32:
		e.b = binary.BigEndian.AppendUint32(append(e.b, kindFloat32), math.Float32bits(v))
	case int:
		e.b = append(e.b, kindInt)
		e.signed(int64(v))
	case int64:
		e.b = append(e.b, kindInt64)
		e.signed(v)
	case uint64:
		e.b = append(e.b, kindUint64)
		e.number(v)
	case json.Number:
		e.b = append(e.b, kindNumber)
		e.text(string(v))
	case time.Time:
		e.b = append(e.b, kindTime)
		e.time(v)
	case []string:
		e.b = append(e.b, kindTexts)
		e.texts(v)
	case []any:
		e.b = append(e.b, kindList)
		if v == nil {
			e.number(0)
			return
		}
		e.number(uint64(len(v)) + 1)
		for _, item := range v {
			e.claim(name, item, depth+1)
		}
	case map[string]any:
		e.b = append(e.b, kindMap)
		e.claims(v, depth+1)
	default:
		e.err = fmt.Errorf("the claim %q has the type %T, which cannot be kept", name, claim)
	}
}

// principal encodes all fields but Recheck, which is code.
func (e *encoder) principal(p *auth.Principal) {
	e.text(p.Name)
	e.texts(p.Roles)
	e.claims(p.Claims, 0)
	e.time(p.Expires)
	e.time(p.Issued)
	e.text(p.CredentialID)
	e.text(p.Method)
	e.texts(p.Scopes)
	e.flag(p.Passcode)
}

// decoder reads what an encoder has written. Its first error stays, and then it
// returns zero values.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() { d.b, d.err = nil, errDamaged }

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) text() string { return string(d.bytes(d.number())) }

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) flag() bool { return d.byte() == 1 }

func (d *decoder) time() time.Time {
	if !d.flag() {
		return time.Time{}
	}
	seconds, nanoseconds := d.signed(), d.number()
	if nanoseconds >= 1e9 {
		d.fail()
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanoseconds)) //nolint:gosec // it is less than 1e9
}

// size returns the length of a list and whether there is one. A damaged entry
// cannot make it larger than what follows.
func (d *decoder) size() (n int, some bool) {
	v := d.number()
	if v == 0 || v-1 > uint64(len(d.b)) {
		if v != 0 {
			d.fail()
		}
		return 0, false
	}
	return int(v - 1), true //nolint:gosec // at most len(d.b)
}

func (d *decoder) texts() []string {
	n, some := d.size()
	if !some {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.text())
	}
	return list
}

func (d *decoder) claims(depth int) map[string]any {
	n, some := d.size()
	if !some {
		return nil
	}
	m := make(map[string]any, n)
	for range n {
		name := d.text()
		m[name] = d.claim(depth)
		if d.err != nil {
			return nil
		}
	}
	return m
}

func (d *decoder) claim(depth int) any {
	if depth > maxDepth {
		d.fail()
		return nil
	}
	switch d.byte() {
	case kindNil:
	case kindString:
		return d.text()
	case kindBool:
		return d.flag()
	case kindFloat:
		if b := d.bytes(8); b != nil {
			return math.Float64frombits(binary.BigEndian.Uint64(b))
		}
	case kindFloat32:
		if b := d.bytes(4); b != nil {
			return math.Float32frombits(binary.BigEndian.Uint32(b))
		}
	case kindInt:
		return int(d.signed())
	case kindInt64:
		return d.signed()
	case kindUint64:
		return d.number()
	case kindNumber:
		return json.Number(d.text())
	case kindTime:
		return d.time()
	case kindTexts:
		return d.texts()
	case kindList:
		return d.list(depth)
	case kindMap:
		return d.claims(depth + 1)
	default:
		d.fail()
	}
	return nil
}

func (d *decoder) list(depth int) []any {
	n, some := d.size()
	if !some {
		return nil
	}
	list := make([]any, 0, n)
	for range n {
		list = append(list, d.claim(depth+1))
		if d.err != nil {
			return nil
		}
	}
	return slices.Clip(list)
}

func (d *decoder) principal() *auth.Principal {
	return &auth.Principal{
		Name: d.text(), Roles: d.texts(), Claims: d.claims(0), Expires: d.time(), Issued: d.time(),
		CredentialID: d.text(), Method: d.text(), Scopes: d.texts(), Passcode: d.flag(),
	}
}
