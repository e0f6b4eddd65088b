package selector

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"
)

// A node is a part of an expression. Which of its fields are set depends on its
// kind.
type node struct {
	kind   nodeKind
	at     int     // index of its first character, or of its operator
	text   string  // the operator, the identifier or the text
	number float64 // of numberNode
	truth  bool    // of boolNode
	parts  []*node // operands, left to right, or the elements of a list
}

type nodeKind uint8

const (
	otherNode      nodeKind = iota // has a place in the language, and none in ours
	boolNode                       // true, false
	nilNode                        // nil
	textNode                       // 'x'
	numberNode                     // 3
	identifierNode                 // headers
	memberNode                     // headers.a, headers['a']: what has it, and its name
	callNode                       // anything with arguments
	unaryNode                      // not x
	binaryNode                     // x and y
	listNode                       // [x, y]
)

// How strongly the operators between two operands bind, and those before one, as
// in expr.
var (
	binaryPrecedence = map[string]int{
		"or": 10, "||": 10, "and": 15, "&&": 15,
		"==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
		"in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
		"..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
	}
	unaryPrecedence = map[string]int{"not": 50, "!": 50, "-": 90, "+": 90}
	// negatable operators can have a not before them.
	negatable = []string{"in", "matches", "contains", "startsWith", "endsWith"}
)

// A parser builds the tree of an expression. After an error it sees nothing but
// the end.
type parser struct {
	lexer *lexer.Lexer
	token lexer.Token
	// after is the token that follows, if it was read already.
	after *lexer.Token
	err   error
}

// parse returns the tree of an expression. Its syntax is that of expr, without
// what needs more than one expression: there is an error, or an otherNode, for
// that.
func parse(expression string) (*node, error) {
	p := &parser{lexer: lexer.New()}
	p.lexer.Reset(file.NewSource(expression))
	p.next()
	n := p.expression(0)
	if p.is(lexer.Operator, ";") {
		p.fail(wrong(n, notACondition))
	}
	if !p.is(lexer.EOF) {
		p.unexpected()
	}
	if p.err != nil {
		return nil, inOurWords(p.err, expression)
	}
	return n, nil
}

// next goes to the next token.
func (p *parser) next() {
	if p.err != nil {
		return
	}
	if p.after != nil {
		p.token, p.after = *p.after, nil
		return
	}
	token, err := p.lexer.Next()
	if err != nil {
		p.fail(err)
		return
	}
	p.token = token
}

func (p *parser) is(kind lexer.Kind, values ...string) bool { return p.token.Is(kind, values...) }

// expect goes past a token that must be there.
func (p *parser) expect(kind lexer.Kind, value string) {
	if !p.is(kind, value) {
		p.unexpected()
		return
	}
	p.next()
}

// unexpected fails at the token.
func (p *parser) unexpected() { p.fail(&file.Error{Location: p.token.Location}) }

// fail keeps the first error, and ends the expression.
func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.token, p.after = lexer.Token{Kind: lexer.EOF}, nil
}

// expression parses operands and the operators between them, as long as these
// bind at least as strongly as precedence.
func (p *parser) expression(precedence int) *node {
	if precedence == 0 && p.is(lexer.Operator, "let", "if") {
		p.fail(position(p.token.From, notACondition))
	}
	left := p.operand()
	for p.token.Kind == lexer.Operator {
		operator, negated := p.token, p.is(lexer.Operator, "not")
		if negated {
			p.next()
			if !slices.Contains(negatable, p.token.Value) {
				p.unexpected()
				break
			}
			if binaryPrecedence[p.token.Value] < precedence {
				after := p.token
				p.token, p.after = operator, &after
				break
			}
			operator = p.token
		}
		binds, ok := binaryPrecedence[operator.Value]
		if !ok || binds < precedence {
			break
		}
		p.next()
		switch {
		case isOrder(operator.Value):
			left = p.comparisons(left, operator, binds)
			continue
		case operator.Value == "**", operator.Value == "^":
			left = binary(operator, left, p.expression(binds))
		default:
			left = binary(operator, left, p.expression(binds+1))
		}
		if negated {
			left = &node{kind: unaryNode, at: operator.From, text: "not", parts: []*node{left}}
		}
	}
	for precedence == 0 && p.is(lexer.Operator, "?") {
		left = p.conditional(left)
	}
	return left
}

func isOrder(operator string) bool { return slices.Contains([]string{"<", ">", ">=", "<="}, operator) }

func binary(operator lexer.Token, left, right *node) *node {
	return &node{kind: binaryNode, at: operator.From, text: operator.Value, parts: []*node{left, right}}
}

// comparisons parses a < b, and a < b < c, which is a < b && b < c.
func (p *parser) comparisons(left *node, operator lexer.Token, binds int) *node {
	var all *node
	for {
		right := p.expression(binds + 1)
		one := binary(operator, left, right)
		if all == nil {
			all = one
		} else {
			operator.Value = "&&"
			all = binary(operator, all, one)
		}
		left, operator = right, p.token
		if operator.Kind != lexer.Operator || !isOrder(operator.Value) {
			return all
		}
		p.next()
	}
}

// conditional parses what follows the condition of a ? b : c and a ?: c.
func (p *parser) conditional(condition *node) *node {
	p.next()
	if !p.is(lexer.Operator, ":") {
		p.expression(0)
	}
	p.expect(lexer.Operator, ":")
	p.expression(0)
	return &node{at: condition.at}
}

// operand parses one operand with what is before and behind it.
func (p *parser) operand() *node {
	first := p.token
	if binds, ok := unaryPrecedence[first.Value]; ok && first.Kind == lexer.Operator {
		p.next()
		return p.behind(&node{kind: unaryNode, at: first.From, text: first.Value, parts: []*node{p.expression(binds)}})
	}
	n := &node{at: first.From}
	if first.Kind == lexer.Operator || first.Kind == lexer.EOF || first.Is(lexer.Bracket, ")", "]", "}") {
		p.unexpected()
		return n
	}
	p.next()
	switch {
	case first.Is(lexer.Bracket, "("):
		n = p.expression(0)
		p.expect(lexer.Bracket, ")")
	case first.Is(lexer.Bracket, "["):
		n.kind, n.parts = listNode, p.list()
	case first.Is(lexer.Bracket, "{"):
		p.expect(lexer.Bracket, "}") // that is enough to say that it is no condition
	case first.Kind == lexer.Bytes:
	case first.Kind == lexer.String:
		n.kind, n.text = textNode, first.Value
	case first.Kind == lexer.Number:
		n.kind, n.number = numberNode, p.number(first)
		return n
	case first.Kind == lexer.Identifier:
		switch n.text = first.Value; n.text {
		case "true", "false":
			n.kind, n.truth = boolNode, n.text == "true"
			return n
		case "nil":
			n.kind = nilNode
			return n
		}
		if n.kind = identifierNode; p.is(lexer.Bracket, "(") {
			n = p.call(n)
		}
	}
	return p.behind(n)
}

// list parses the elements of a list, the last of which may have a comma, too.
func (p *parser) list() (elements []*node) {
	for !p.is(lexer.Bracket, "]") && p.err == nil {
		if len(elements) > 0 {
			p.expect(lexer.Operator, ",")
			if p.is(lexer.Bracket, "]") {
				break
			}
		}
		elements = append(elements, p.expression(0))
	}
	p.expect(lexer.Bracket, "]")
	return elements
}

// number returns the value of a number. The digits can have _ between them.
func (p *parser) number(token lexer.Token) float64 {
	text := strings.ToLower(strings.ReplaceAll(token.Value, "_", ""))
	hex := strings.HasPrefix(text, "0x")
	if !hex && strings.ContainsAny(text, ".e") {
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			p.unexpected()
		}
		return number
	}
	base := 10
	if hex || strings.HasPrefix(text, "0b") || strings.HasPrefix(text, "0o") {
		base = 0 // as it says
	}
	number, err := strconv.ParseInt(text, base, 64)
	if err != nil {
		p.unexpected()
	}
	return float64(number)
}

// behind parses the names, indices and arguments behind an operand.
func (p *parser) behind(n *node) *node {
	for {
		at := p.token.From
		switch {
		case p.is(lexer.Operator, "."):
			p.next()
			n = p.member(n)
		case p.is(lexer.Operator, "?."):
			p.next()
			if !p.is(lexer.Bracket, "[") {
				n = p.member(n)
			}
			n = &node{at: n.at}
		case p.is(lexer.Bracket, "["):
			p.next()
			n = &node{kind: memberNode, at: at, parts: []*node{n, p.expression(0)}}
			p.expect(lexer.Bracket, "]")
		default:
			return n
		}
	}
}

// member parses the name behind a dot, which may be the word of an operator.
func (p *parser) member(of *node) *node {
	name := p.token
	if name.Kind != lexer.Identifier && (name.Kind != lexer.Operator || !isWord(name.Value)) {
		p.unexpected()
		return of
	}
	p.next()
	n := &node{kind: memberNode, at: name.From, parts: []*node{of, {kind: textNode, at: name.From, text: name.Value}}}
	if p.is(lexer.Bracket, "(") {
		return p.call(n)
	}
	return n
}

func isWord(s string) bool { return unicode.IsLetter([]rune(s)[0]) }

// call goes past the arguments of a call, whatever they are.
func (p *parser) call(of *node) *node {
	for depth := 0; ; p.next() {
		switch {
		case p.is(lexer.Bracket, "(", "[", "{"):
			depth++
		case p.is(lexer.Bracket, ")", "]", "}"):
			depth--
		case p.is(lexer.EOF):
			p.unexpected()
			depth = 0
		}
		if depth == 0 {
			break
		}
	}
	p.next()
	return &node{kind: callNode, at: of.at}
}

// inOurWords says where the expression is invalid, in this package's words.
func inOurWords(err error, expression string) error {
	var e *file.Error
	if !errors.As(err, &e) {
		return err
	}
	text := []rune(expression)
	switch at := e.From; {
	case at >= len(text):
		return errors.New("the expression is not complete")
	case text[at] == '=' && (at == 0 || !strings.ContainsRune("=!<>", text[at-1])):
		return position(at, "to compare, write ==")
	default:
		return position(at, "the expression cannot be read from here")
	}
}
