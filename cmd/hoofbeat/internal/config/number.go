package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes is a size, or [Off].
type Bytes int64

func (b Bytes) String() string { return formatSize(int64(b)) }

// number is a count, a size or a duration within bounds.
type number[T int | Bytes | time.Duration] struct {
	p        *T
	unit     unit
	min, max int64
	canBeOff bool
}

// unit is how a number is written.
type unit struct {
	name    string
	parse   func(string) (int64, error)
	format  func(int64) string
	example string
}

// newNumber returns a number with bounds such as "1KiB to 1GiB, or off".
func newNumber[T int | Bytes | time.Duration](p *T, u unit, bounds string) number[T] {
	n := number[T]{p: p, unit: u}
	bounds, n.canBeOff = strings.CutSuffix(bounds, ", or off")
	low, high, _ := strings.Cut(bounds, " to ")
	var err, err2 error
	n.min, err = u.parse(low)
	n.max, err2 = u.parse(high)
	if err = errors.Join(err, err2); err != nil {
		panic("config: range " + bounds + ": " + err.Error())
	}
	return n
}

func (n number[T]) Set(s string) error {
	if n.canBeOff && (s == "off" || s == "unlimited" || negative(s)) {
		*n.p = Off
		return nil
	}
	v, err := n.unit.parse(s)
	if err != nil {
		return fmt.Errorf("%q is not a %s: want %s", s, n.unit.name, n.unit.example)
	}
	if v < n.min || v > n.max {
		return fmt.Errorf("%s is out of range: want %s", s, n.Want())
	}
	*n.p = T(v)
	return nil
}

func negative(s string) bool {
	_, err := strconv.ParseUint(strings.TrimPrefix(s, "-"), 10, 63)
	return err == nil && strings.HasPrefix(s, "-")
}

func (n number[T]) String() string {
	if n.canBeOff && *n.p < 0 {
		return "off"
	}
	return n.unit.format(int64(*n.p))
}

func (n number[T]) Type() string { return n.unit.name }

func (n number[T]) Want() string {
	s := n.unit.format(n.min) + " to " + n.unit.format(n.max)
	if n.canBeOff {
		s += ", or off"
	}
	return s
}

func countUnit() unit {
	return unit{
		name:    "number",
		parse:   func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) },
		format:  func(v int64) string { return strconv.FormatInt(v, 10) },
		example: "digits such as 1000",
	}
}

func sizeUnit() unit {
	return unit{name: "size", parse: parseSize, format: formatSize, example: "bytes such as 512, or 64KiB, 16MiB, 1GiB"}
}

func durationUnit() unit {
	return unit{
		name: "duration",
		parse: func(s string) (int64, error) {
			d, err := time.ParseDuration(s)
			return int64(d), err
		},
		format:  func(v int64) string { return formatDuration(time.Duration(v)) },
		example: "for example 500ms, 5s, 2m or 1h30m",
	}
}

// parseSize reads bytes with an optional binary unit. Decimal units are not
// read: they would be mistaken for these.
func parseSize(s string) (int64, error) {
	shift := 0
	for suffix, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, shift = strings.TrimSpace(number), bits
			break
		}
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if v < 0 || v > math.MaxInt64>>shift {
		return 0, strconv.ErrRange
	}
	return v << shift, nil
}

func formatSize(v int64) string {
	for _, u := range []struct {
		bits int
		name string
	}{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if v != 0 && v%(1<<u.bits) == 0 {
			return strconv.FormatInt(v>>u.bits, 10) + u.name
		}
	}
	return strconv.FormatInt(v, 10)
}

// formatDuration leaves out the zero units that time.Duration writes.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// level is a slog level by its name.
type level struct{ p *slog.Level }

func (l level) Set(s string) error {
	for _, v := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.ToLower(v.String()) == s {
			*l.p = v
			return nil
		}
	}
	return wrong(s, l.Want())
}

func (l level) String() string { return strings.ToLower(l.p.String()) }
func (l level) Type() string   { return "word" }
func (l level) Want() string   { return "debug, info, warn or error" }
