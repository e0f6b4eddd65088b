package main

import (
	"math"
	"strconv"
	"strings"
)

// A scale places values between two ends of an axis.
type scale struct {
	min, max float64
	log      bool
	from, to float64 // pixels
	ticks    []float64
}

// linear goes from 0 to a round number that is not below the largest value, in
// four to eight steps.
func linear(largest, from, to float64) scale {
	if largest <= 0 {
		largest = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(largest/4)))
	for _, factor := range []float64{1, 2, 2.5, 5, 10} {
		if largest <= step*factor*6 {
			step *= factor
			break
		}
	}
	n := math.Ceil(largest/step - 1e-9)
	s := scale{max: n * step, from: from, to: to}
	for i := 0.0; i <= n; i++ {
		s.ticks = append(s.ticks, i*step)
	}
	return s
}

// tickWidth is the room that the number at a tick of the x axis wants.
const tickWidth = 44

// logarithmic goes from the smallest to the largest value, with ticks at powers of
// ten, at twice and five times them where the range is short, and at the end if
// there is room.
func logarithmic(smallest, largest, from, to float64) scale {
	s := scale{min: smallest, max: largest, log: true, from: from, to: to}
	factors := []float64{1}
	if largest/smallest < 100 {
		factors = []float64{1, 2, 5}
	}
	for p := math.Pow(10, math.Floor(math.Log10(smallest))); p <= largest; p *= 10 {
		for _, f := range factors {
			if t := p * f; smallest <= t && t <= largest {
				s.ticks = append(s.ticks, t)
			}
		}
	}
	if n := len(s.ticks); n == 0 || s.at(largest)-s.at(s.ticks[n-1]) >= tickWidth {
		s.ticks = append(s.ticks, largest)
	}
	return s
}

// at returns the place of a value.
func (s scale) at(value float64) float64 {
	low, high := s.min, s.max
	if s.log {
		value, low, high = math.Log(value), math.Log(low), math.Log(high)
	}
	if high == low {
		return s.from
	}
	return s.from + (value-low)/(high-low)*(s.to-s.from)
}

// number writes a value with three significant digits where it has a fraction, and
// commas between thousands.
func number(value float64) string { return format(value, 3) }

// short is number with two digits.
func short(value float64) string { return format(value, 2) }

func format(value float64, digits int) string {
	decimals := digits
	if value != 0 {
		decimals = min(digits, max(0, digits-1-int(math.Floor(math.Log10(math.Abs(value))))))
	}
	text := strconv.FormatFloat(value, 'f', decimals, 64)
	if decimals > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	whole, fraction, dotted := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dotted {
		return whole + "." + fraction
	}
	return whole
}
