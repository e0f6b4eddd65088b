package config

import (
	"embed"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"sync"
)

// source are the files that declare the keys: they have the documentation of
// the keys, in the comments of the fields.
//
//go:embed settings*.go
var source embed.FS

// fieldDoc is the comment of a field.
type fieldDoc struct {
	text    string // without its line ends
	example string // its indented line
}

// commentOf returns the comment of a field of the struct t.
func commentOf(t reflect.Type, f reflect.StructField) fieldDoc {
	return comments()[t.Name()+"."+f.Name]
}

// comments returns the comments of all fields of the source, such as that of
// "Limits.Frame".
var comments = sync.OnceValue(func() map[string]fieldDoc {
	all := make(map[string]fieldDoc)
	files, err := source.ReadDir(".")
	for _, entry := range files {
		var data []byte
		if data, err = source.ReadFile(entry.Name()); err != nil {
			break
		}
		var file *ast.File
		if file, err = parser.ParseFile(token.NewFileSet(), entry.Name(), data, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			break
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if t, ok := n.(*ast.TypeSpec); ok {
				addComments(all, t)
			}
			return true
		})
	}
	if err != nil {
		panic("config: " + err.Error()) // it is the source that was compiled
	}
	return all
})

func addComments(all map[string]fieldDoc, t *ast.TypeSpec) {
	s, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		text, example, _ := strings.Cut(f.Doc.Text(), "\n\n")
		for _, name := range f.Names {
			all[t.Name.Name+"."+name.Name] = fieldDoc{strings.Join(strings.Fields(text), " "), strings.TrimSpace(example)}
		}
	}
}
