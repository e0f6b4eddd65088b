package auth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestForeignTakesReservedAuthority(t *testing.T) {
	for _, c := range []struct{ roles, scopes, wantRoles, wantScopes []string }{
		{nil, nil, nil, nil},
		{[]string{"a"}, []string{"chat"}, []string{"a"}, []string{"chat"}},
		{[]string{"backend"}, []string{"operation:x"}, []string{}, []string{}},
		{[]string{"a", "backend", "b", "backend"}, []string{"operation:", "chat", "operation:x", "operation"},
			[]string{"a", "b"}, []string{"chat", "operation"}},
		{[]string{"Backend", "backend:x"}, []string{"Operation:x", " operation:x"}, []string{"Backend", "backend:x"}, []string{"Operation:x", " operation:x"}},
	} {
		roles, scopes := strings.Join(c.roles, " "), strings.Join(c.scopes, " ")
		p := Foreign(Principal{Name: "ann", Roles: c.roles, Scopes: c.scopes, CredentialID: "c"})
		if !reflect.DeepEqual(p.Roles, c.wantRoles) || !reflect.DeepEqual(p.Scopes, c.wantScopes) || p.Name != "ann" || p.CredentialID != "c" {
			t.Errorf("%q %q: %+v", c.roles, c.scopes, p)
		}
		if strings.Join(c.roles, " ") != roles || strings.Join(c.scopes, " ") != scopes {
			t.Errorf("the lists that were given have changed: %q %q", c.roles, c.scopes)
		}
	}
}

// Every package below this one makes its principals with Foreign, except users,
// whose roles the operator configures, and ticket, whose principals were checked
// before they got their tickets or are vouched for by a secret.
func TestAuthenticatorsMakeForeignPrincipals(t *testing.T) {
	found := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Dir(path) == "." || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		foreign := make(map[ast.Node]bool)
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isSelector(call.Fun, "Foreign") {
				for _, arg := range call.Args {
					foreign[arg] = true
				}
			}
			if lit, ok := n.(*ast.CompositeLit); ok && isSelector(lit.Type, "Principal") {
				found++
				if own := filepath.Dir(path); !foreign[lit] && own != "users" && own != "ticket" {
					t.Errorf("%s makes a principal without Foreign", path)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || found < 4 {
		t.Errorf("%d principals found, %v", found, err)
	}
}

func isSelector(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && s.Sel.Name == name
}
