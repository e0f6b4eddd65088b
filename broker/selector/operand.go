package selector

import (
	"strconv"

	"github.com/hoofbeat/hoofbeat/broker"
)

// header is the name of a header in an expression.
type header string

// compileHeader compiles headers.name and headers['name'].
func compileHeader(n *node) (header, error) {
	if n.kind != memberNode {
		return "", wrong(n, "only headers can be compared, as headers.name or headers['name']")
	}
	of, name := n.parts[0], n.parts[1]
	if of.kind != identifierNode || of.text != "headers" {
		return "", wrong(n, "only headers are known, as headers.name or headers['name']")
	}
	if name.kind != textNode {
		return "", wrong(n, "the name of a header is a text in quotes")
	}
	return header(name.text), nil
}

// of returns the value of the header in m, and whether m has it. As in Spring,
// destination is the message's destination; for any other name it is the first
// header that the sender set.
func (h header) of(m *broker.Message) (text string, present bool) {
	if h == "destination" {
		return m.Destination, true
	}
	for i := range m.Headers {
		if m.Headers[i].Name == string(h) {
			return m.Headers[i].Value, true
		}
	}
	return "", false
}

// A literal is a constant with which an expression compares a header.
type literal struct {
	kind   literalKind
	text   string
	number float64
}

type literalKind uint8

const (
	nullLiteral literalKind = iota
	textLiteral
	boolLiteral // text is "true" or "false"
	numberLiteral
)

func compileLiteral(n *node) (literal, error) {
	switch n.kind {
	case nilNode:
		return literal{}, nil
	case identifierNode:
		if n.text == "null" { // Spring's spelling of nil
			return literal{}, nil
		}
	case textNode:
		return literal{kind: textLiteral, text: n.text}, nil
	case boolNode:
		return literal{kind: boolLiteral, text: strconv.FormatBool(n.truth)}, nil
	case numberNode:
		return literal{kind: numberLiteral, number: n.number}, nil
	case unaryNode:
		if n.text == "-" || n.text == "+" {
			l, err := compileLiteral(n.parts[0])
			if err == nil && l.kind == numberLiteral {
				if n.text == "-" {
					l.number = -l.number
				}
				return l, nil
			}
		}
	}
	return literal{}, wrong(n, "a header is compared with a text in quotes, a number, true, false, null or a header")
}

// equals reports whether a header, as returned by [header.of], equals the
// literal.
func (l *literal) equals(text string, present bool) bool {
	switch l.kind {
	case nullLiteral:
		return !present
	case numberLiteral:
		n, ok := number(text, present)
		return ok && n == l.number
	}
	return present && text == l.text
}

// number parses a header, as returned by [header.of], as a decimal number. It
// rejects texts of more than 32 bytes, which no program writes, without parsing
// them.
func number(text string, present bool) (n float64, ok bool) {
	if !present || len(text) > 32 {
		return 0, false
	}
	for i := range len(text) { // ParseFloat also accepts inf, nan and hexadecimal
		switch c := text[i]; {
		case '0' <= c && c <= '9', c == '.', c == '+', c == '-', c == 'e', c == 'E':
		default:
			return 0, false
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}
