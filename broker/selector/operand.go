package selector

import (
	"strconv"

	"github.com/expr-lang/expr/ast"

	"github.com/hoofbeat/hoofbeat/broker"
)

// header is the name of a header in an expression.
type header string

// compileHeader compiles headers.name and headers['name'].
func compileHeader(n ast.Node) (header, error) {
	member, ok := n.(*ast.MemberNode)
	if !ok {
		return "", wrong(n, "only headers can be compared, as headers.name or headers['name']")
	}
	if root, ok := member.Node.(*ast.IdentifierNode); !ok || root.Value != "headers" {
		return "", wrong(n, "only headers are known, as headers.name or headers['name']")
	}
	name, ok := member.Property.(*ast.StringNode)
	if !ok {
		return "", wrong(n, "the name of a header is a text in quotes")
	}
	return header(name.Value), nil
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

func compileLiteral(n ast.Node) (literal, error) {
	switch n := n.(type) {
	case *ast.NilNode:
		return literal{}, nil
	case *ast.IdentifierNode:
		if n.Value == "null" { // Spring's spelling of nil
			return literal{}, nil
		}
	case *ast.StringNode:
		return literal{kind: textLiteral, text: n.Value}, nil
	case *ast.BoolNode:
		return literal{kind: boolLiteral, text: strconv.FormatBool(n.Value)}, nil
	case *ast.IntegerNode:
		return literal{kind: numberLiteral, number: float64(n.Value)}, nil
	case *ast.FloatNode:
		return literal{kind: numberLiteral, number: n.Value}, nil
	case *ast.UnaryNode:
		if n.Operator == "-" || n.Operator == "+" {
			l, err := compileLiteral(n.Node)
			if err == nil && l.kind == numberLiteral {
				if n.Operator == "-" {
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
