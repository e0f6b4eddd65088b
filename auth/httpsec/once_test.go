package httpsec_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestWrittenOnce searches the module for a second parser of Authorization
// headers, and for a second implementation of which hosts are loopback and
// which addresses belong to one client.
func TestWrittenOnce(t *testing.T) {
	const root = "../.."
	elsewhere := map[string]string{ // what looks like one and is none
		"auth/oauth/background.go":              "reads the challenge of a reply",
		"auth/oauth/reply.go":                   "reads the token_type of a reply",
		"broker/brokertest/faultproxy/proxy.go": "is a tool for tests, which imports nothing of ours",
		"cmd/hoofbeat/internal/bench/target.go": "asks whether source addresses of 127.0.0.0/8 reach a server",
	}
	files, seen := 0, make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		place, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		place = filepath.ToSlash(place)
		switch name := d.Name(); {
		case d.IsDir() && (name == "node_modules" || name == "testdata" || place == "auth/httpsec" || strings.HasPrefix(name, ".") && place != "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		for at, what := range dialects(f) {
			if seen[place] = true; elsewhere[place] == "" {
				t.Errorf("%s %s: use auth/httpsec", set.Position(at), what)
			}
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files: %v", files, err)
	}
	for place := range elsewhere {
		if !seen[place] {
			t.Errorf("%s needs no exception any more", place)
		}
	}
}

// dialects returns the places in a file that read an Authorization header,
// judge a host or mask an address themselves.
func dialects(f *ast.File) map[token.Pos]string {
	found := make(map[token.Pos]string)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr: // strings.CutPrefix(h, "Bearer "), strings.EqualFold(scheme, "bearer"), …
			called, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if called.Sel.Name == "IsLoopback" {
				found[n.Pos()] = "calls IsLoopback"
			}
			if called.Sel.Name == "Prefix" && len(n.Args) == 1 {
				found[n.Pos()] = "masks an address"
			}
			if pkg, ok := called.X.(*ast.Ident); ok && (pkg.Name == "strings" || pkg.Name == "bytes") {
				for _, arg := range n.Args {
					tell(found, arg)
				}
			}
		case *ast.BinaryExpr: // host == "localhost"
			if n.Op == token.EQL || n.Op == token.NEQ {
				tell(found, n.X)
				tell(found, n.Y)
			}
		}
		return true
	})
	return found
}

func tell(found map[token.Pos]string, e ast.Expr) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		return
	}
	switch strings.ToLower(strings.Trim(text, " .")) {
	case "bearer":
		found[e.Pos()] = "reads bearer tokens"
	case "localhost":
		found[e.Pos()] = "compares a host with localhost"
	}
}
