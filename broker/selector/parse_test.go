package selector

import (
	"reflect"
	"strconv"
	"testing"

	"github.com/expr-lang/expr/ast"
	exprparser "github.com/expr-lang/expr/parser"
)

// FuzzParsesAsExpr holds our parser to that of expr: of what we offer, both
// accept the same expressions and see the same in them.
func FuzzParsesAsExpr(f *testing.F) {
	for _, seed := range []string{
		`headers.foo == 'bar'`, `headers["a"] != "\u00e4\x41\101\n"`, "headers.a == `x``y`", `headers.not == 'a' and headers.in == 'b'`,
		`not headers.a in ['x', 1, -1.5e3, true, null, nil,] or !(headers.b contains "y")`, `headers.a in []`, `headers.a not in [1] && true`,
		`5 < headers.n <= 1e3 < headers.m and headers.n != -2`, `headers.n == 0x1F`, `headers.n == 0b101`, `headers.n == 0o17`, `headers.n == 017`,
		`headers.n == 1_000.5`, `headers.n == .5`, `headers.n == - + - 3`, `headers.n == 1e400`, `headers.n == 9223372036854775808`, `headers.n == 1..2`,
		`((headers.a)) == (('x'))`, `(headers).a == 'x'`, `(headers.a == 'x')`, `true.a == 'x'`, `headers.a.b == 'x'`, `headers[('a')] == 'x'`,
		`headers?.a == 'x'`, `headers?.['a'] == 'x'`, `headers.a() == 'x'`, `a(b) == headers.a`, `headers.a == 'x' // why`, `headers /* */ . a == 'x'`,
		`not not ! true`, `- headers.a == 1`, `not headers.a == 1`, `headers.a not matches 'x'`, `headers.a not == 'x'`, `headers.a == 'x' not in ['x']`,
		`true or false and headers.a < 'x' == true`, `headers.a == headers.b == headers.c`, `headers.a == 1 + 2 * 3 ** 2`, `headers.a ?? 'x' == 'y'`,
		`true ? true : false`, `true ?: false`, `if true { true } else { false }`, `let x = true; x`, `true; true`, `true;`, `{}`, `{a: 1}`, `#`, `::len(1)`,
		`headers.a | len()`, `b'x' == headers.a`, `'x' == headers.a`, `1 <= headers.a`, `headers.a ==`, `(true`, `[true`, `len(headers.a`, `headers.`, `'x`, "\x00", ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		if len(expression) > 1024 {
			return // the broker does not accept it
		}
		ours, err := accepted(parse(expression))
		var theirs *node
		if tree, failed := exprparser.Parse(expression); failed == nil {
			theirs, _ = accepted(fromExpr(tree.Node), nil)
		}
		if !reflect.DeepEqual(ours, theirs) {
			t.Errorf("%q: %+v (%v), expr says %+v", expression, ours, err, theirs)
		}
	})
}

// accepted returns a tree that compiles.
func accepted(n *node, err error) (*node, error) {
	if err == nil {
		_, err = new(compiler).condition(n)
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// fromExpr converts what expr's parser made.
func fromExpr(n ast.Node) *node {
	at := n.Location().From
	switch n := n.(type) {
	case *ast.BoolNode:
		return &node{kind: boolNode, at: at, text: strconv.FormatBool(n.Value), truth: n.Value}
	case *ast.NilNode:
		return &node{kind: nilNode, at: at, text: "nil"}
	case *ast.StringNode:
		return &node{kind: textNode, at: at, text: n.Value}
	case *ast.IntegerNode:
		return &node{kind: numberNode, at: at, number: float64(n.Value)}
	case *ast.FloatNode:
		return &node{kind: numberNode, at: at, number: n.Value}
	case *ast.IdentifierNode:
		return &node{kind: identifierNode, at: at, text: n.Value}
	case *ast.MemberNode:
		return &node{kind: memberNode, at: at, parts: []*node{fromExpr(n.Node), fromExpr(n.Property)}}
	case *ast.UnaryNode:
		return &node{kind: unaryNode, at: at, text: n.Operator, parts: []*node{fromExpr(n.Node)}}
	case *ast.BinaryNode:
		return &node{kind: binaryNode, at: at, text: n.Operator, parts: []*node{fromExpr(n.Left), fromExpr(n.Right)}}
	case *ast.ArrayNode:
		list := &node{kind: listNode, at: at}
		for _, element := range n.Nodes {
			list.parts = append(list.parts, fromExpr(element))
		}
		return list
	}
	return &node{at: at}
}
