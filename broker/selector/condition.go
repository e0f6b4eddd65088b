package selector

import "github.com/hoofbeat/hoofbeat/broker"

// A condition evaluates an expression for a message. Conditions are closures
// over values computed when they were compiled.
type condition func(*broker.Message) bool

// maxComparisons limits the cost that one expression adds to every publication.
const maxComparisons = 16

// A compiler compiles one expression.
type compiler struct{ comparisons int }

// condition compiles a part that must be true or false. It refuses everything
// that it does not handle, because the parser accepts a larger language.
func (c *compiler) condition(n *node) (condition, error) {
	switch n.kind {
	case boolNode:
		v := n.truth
		return func(*broker.Message) bool { return v }, nil
	case unaryNode:
		if isNot(n) {
			return c.negation(n)
		}
	case binaryNode:
		switch n.text {
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
	case memberNode:
		if _, err := compileHeader(n); err != nil {
			return nil, err
		}
		return nil, wrong(n, "a header is not true or false by itself: compare it")
	case callNode:
		return nil, wrong(n, "there are no functions")
	case identifierNode:
		return nil, wrong(n, "only headers are known, as headers.name or headers['name']")
	}
	return nil, wrong(n, notACondition)
}

const notACondition = "this is neither a comparison nor true or false"

func isNot(n *node) bool { return n.kind == unaryNode && (n.text == "not" || n.text == "!") }

// negation compiles a chain of negations into one or none.
func (c *compiler) negation(n *node) (condition, error) {
	odd := true
	inner := n.parts[0]
	for isNot(inner) {
		inner, odd = inner.parts[0], !odd
	}
	found, err := c.condition(inner)
	if err == nil && odd {
		found = negated(found)
	}
	return found, err
}

func (c *compiler) both(n *node) (a, b condition, err error) {
	if a, err = c.condition(n.parts[0]); err != nil {
		return nil, nil, err
	}
	b, err = c.condition(n.parts[1])
	return a, b, err
}

func negated(c condition) condition {
	return func(m *broker.Message) bool { return !c(m) }
}
