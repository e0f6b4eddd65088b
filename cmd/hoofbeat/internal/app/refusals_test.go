package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// Every text in which the broker refuses something for a limit names the key
// that changes it, and every key that it names exists.
func TestRefusalsNameTheirKeys(t *testing.T) {
	var keys []string
	for _, k := range config.Keys() {
		keys = append(keys, k.Path)
	}
	named := regexp.MustCompile(`\b(?:limits|queues|heartbeat)\.[a-z_]+`)
	forLimits := []string{"ReasonLimit", "ReasonTooBig", "ReasonSlowConsumer", "ReasonAuthorizerSlow", "ReasonConnectTimeout"}
	texts, mentions := 0, 0
	for _, dir := range []string{"broker", "broker/sockjs"} {
		files, err := filepath.Glob(filepath.Join("../../../..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					for _, key := range named.FindAllString(text(n), -1) {
						if mentions++; !slices.Contains(keys, key) {
							t.Errorf("%s: there is no key %s", set.Position(n.Pos()), key)
						}
					}
				case *ast.CallExpr:
					if name, ok := n.Fun.(*ast.Ident); !ok || name.Name != "failure" || len(n.Args) < 2 {
						return true
					}
					reason, ok := n.Args[0].(*ast.Ident)
					if !ok || !slices.Contains(forLimits, reason.Name) {
						return true
					}
					// These have the keys, and the values, from elsewhere.
					elsewhere := []string{"%s (%s)", "the history of %s dropped messages before you read them: it keeps at most %s"}
					if said := text(n.Args[1]); named.FindString(said) == "" && !slices.Contains(elsewhere, said) || !strings.Contains(said, "%") {
						t.Errorf("%s: %q does not name the limit's value and key", set.Position(n.Pos()), said)
					}
					texts++
				}
				return true
			})
		}
	}
	if texts < 10 || mentions < 25 {
		t.Errorf("found only %d refusals and %d keys", texts, mentions)
	}
}

// text is the value of a string literal, "" for anything else.
func text(n ast.Expr) string {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}
