package selector

import (
	"github.com/expr-lang/expr/ast"

	"github.com/hoofbeat/hoofbeat/broker"
)

// A condition evaluates an expression for a message. Conditions are closures
// over values computed when they were compiled.
type condition func(*broker.Message) bool

// maxComparisons limits the cost that one expression adds to every publication.
const maxComparisons = 16

// A compiler compiles one expression.
type compiler struct{ comparisons int }

// condition compiles a part that must be true or false. It refuses everything
// that it does not handle, because the parser accepts a larger language.
func (c *compiler) condition(n ast.Node) (condition, error) {
	switch n := n.(type) {
	case *ast.BoolNode:
		v := n.Value
		return func(*broker.Message) bool { return v }, nil
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			return c.negation(n)
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "and", "&&":
			a, b, err := c.both(n)
			return func(m *broker.Message) bool { return a(m) && b(m) }, err
		case "or", "||":
			a, b, err := c.both(n)
			return func(m *broker.Message) bool { return a(m) || b(m) }, err
		}
		if c.comparisons++; c.comparisons > maxComparisons {
			return nil, wrong(n, "more than 16 comparisons: use in for a list")
		}
		return compileComparison(n)
	case *ast.MemberNode:
		if _, err := compileHeader(n); err != nil {
			return nil, err
		}
		return nil, wrong(n, "a header is not true or false by itself: compare it")
	case *ast.CallNode, *ast.BuiltinNode:
		return nil, wrong(n, "there are no functions")
	case *ast.IdentifierNode:
		return nil, wrong(n, "only headers are known, as headers.name or headers['name']")
	}
	return nil, wrong(n, "this is neither a comparison nor true or false")
}

// negation compiles a chain of negations into one or none.
func (c *compiler) negation(n *ast.UnaryNode) (condition, error) {
	odd := true
	inner := n.Node
	for {
		u, ok := inner.(*ast.UnaryNode)
		if !ok || u.Operator != "not" && u.Operator != "!" {
			break
		}
		inner, odd = u.Node, !odd
	}
	found, err := c.condition(inner)
	if err == nil && odd {
		found = negated(found)
	}
	return found, err
}

func (c *compiler) both(n *ast.BinaryNode) (a, b condition, err error) {
	if a, err = c.condition(n.Left); err != nil {
		return nil, nil, err
	}
	b, err = c.condition(n.Right)
	return a, b, err
}

func negated(c condition) condition {
	return func(m *broker.Message) bool { return !c(m) }
}
