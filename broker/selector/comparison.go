package selector

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/hoofbeat/hoofbeat/broker"
)

// compileComparison compiles a comparison of a header.
func compileComparison(n *ast.BinaryNode) (condition, error) {
	op, left, right := n.Operator, n.Left, n.Right
	if mirror, ok := mirrored[op]; ok && !isMember(left) && isMember(right) {
		op, left, right = mirror, right, left
	}
	switch op {
	case "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith":
	default:
		return nil, wrong(n, "this operator is not available")
	}
	h, err := compileHeader(left)
	if err != nil {
		return nil, err
	}
	switch op {
	case "==", "!=":
		c, err := compileEquality(h, right)
		if err == nil && op == "!=" {
			c = negated(c)
		}
		return c, err
	case "in":
		return compileIn(h, right)
	case "contains", "startsWith", "endsWith":
		return compileContains(h, op, right)
	}
	return compileOrder(h, op, right)
}

// mirrored maps each operator to the one that replaces it when the operands are
// exchanged.
var mirrored = map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

func isMember(n ast.Node) bool {
	_, ok := n.(*ast.MemberNode)
	return ok
}

func compileEquality(h header, right ast.Node) (condition, error) {
	if isMember(right) {
		other, err := compileHeader(right)
		return func(m *broker.Message) bool {
			a, here := h.of(m)
			b, there := other.of(m)
			return here == there && a == b
		}, err
	}
	l, err := compileLiteral(right)
	return func(m *broker.Message) bool { return l.equals(h.of(m)) }, err
}

// compileIn compiles a comparison with a list. The header is looked up, and
// parsed as a number, only once, however long the list is.
func compileIn(h header, right ast.Node) (condition, error) {
	array, ok := right.(*ast.ArrayNode)
	if !ok {
		return nil, wrong(right, "in wants a list, as ['a', 'b']")
	}
	var (
		null    bool
		texts   []string
		numbers []float64
	)
	for _, n := range array.Nodes {
		l, err := compileLiteral(n)
		if err != nil {
			return nil, err
		}
		switch l.kind {
		case nullLiteral:
			null = true
		case numberLiteral:
			numbers = append(numbers, l.number)
		default:
			texts = append(texts, l.text)
		}
	}
	return func(m *broker.Message) bool {
		text, present := h.of(m)
		if !present {
			return null
		}
		if slices.Contains(texts, text) {
			return true
		}
		if len(numbers) == 0 {
			return false
		}
		n, ok := number(text, present)
		return ok && slices.Contains(numbers, n)
	}, nil
}

func compileContains(h header, op string, right ast.Node) (condition, error) {
	s, ok := right.(*ast.StringNode)
	if !ok {
		return nil, wrong(right, "contains, startsWith and endsWith want a text in quotes")
	}
	holds := map[string]func(s, part string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	}[op]
	part := s.Value
	return func(m *broker.Message) bool {
		text, present := h.of(m)
		return present && holds(text, part)
	}, nil
}

func compileOrder(h header, op string, right ast.Node) (condition, error) {
	if isMember(right) {
		other, err := compileHeader(right)
		return func(m *broker.Message) bool {
			a, here := h.of(m)
			b, there := other.of(m)
			return here && there && ordered(op, strings.Compare(a, b))
		}, err
	}
	l, err := compileLiteral(right)
	if err != nil {
		return nil, err
	}
	switch l.kind {
	case textLiteral:
		return func(m *broker.Message) bool {
			text, present := h.of(m)
			return present && ordered(op, strings.Compare(text, l.text))
		}, nil
	case numberLiteral:
		return func(m *broker.Message) bool {
			n, ok := number(h.of(m))
			return ok && ordered(op, compareNumbers(n, l.number))
		}, nil
	}
	return nil, wrong(right, "only texts and numbers are less or greater")
}

// ordered reports whether op holds for a result of [strings.Compare].
func ordered(op string, order int) bool {
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// compareNumbers is cmp.Compare for numbers that are not NaN.
func compareNumbers(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
