package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds a configuration or users file: more is a mistake in the name.
const maxFile = 64 << 20

// loader reads one YAML file. It walks the syntax tree and sets each key through
// the same value that flags and the environment use, so a key has one syntax and
// every complaint has a line.
type loader struct {
	name     string // for errors
	dir      string // relative file names start here
	config   *Config
	keys     map[string]Key
	known    []string          // keys and sections
	places   map[string]string // of the keys that are given
	secrets  []string          // keys of secrets that are written out
	problems []error
}

func newLoader(name string, c *Config, keys []Key) *loader {
	l := &loader{name: filepath.Base(name), dir: filepath.Dir(name), config: c, keys: make(map[string]Key, len(keys)), places: make(map[string]string)}
	for _, k := range keys {
		l.keys[k.Path] = k
		if !k.envOnly {
			l.known = append(l.known, k.Path)
		}
	}
	for section := range sections() {
		l.known = append(l.known, section)
	}
	l.known = append(l.known, "rules")
	return l
}

// parseFile reads a file of one YAML document whose mode has none of the bits;
// nil is an empty one.
func parseFile(path string, bits fs.FileMode) (ast.Node, error) {
	data, err := readMode(path, "configuration", maxFile, bits)
	if err != nil {
		return nil, err
	}
	return parse(filepath.Base(path), data)
}

func parse(name string, data []byte) (ast.Node, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		// The error's own text quotes the file, which may hold secrets.
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			return nil, fmt.Errorf("%s:%d: %s", name, syntax.GetToken().Position.Line, syntax.GetMessage())
		}
		return nil, fmt.Errorf("%s: not YAML", name)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return nil, fmt.Errorf("%s:%d: a second document: want one", name, line(doc.Body))
		}
		body = doc.Body
	}
	return body, nil
}

// section reads a mapping whose keys start with prefix.
func (l *loader) section(prefix string, node ast.Node) {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		if node.Type() != ast.NullType { // a section whose keys are all comments
			l.bad(node, strings.TrimSuffix(prefix, "."), "want keys and values")
		}
		return
	}
	all := sections()
	for _, v := range m.Values {
		path := prefix + key(v)
		_, isSection := all[path]
		k, isKey := l.keys[path]
		switch {
		case isSection:
			l.section(path+".", v.Value)
		case path == "rules":
			l.rules(v.Value)
		case isKey && k.envOnly:
			l.bad(v, path, "is a secret and only read from the environment, as "+k.Env())
		case isKey:
			if r, ok := k.value.(*records); ok {
				l.records(k, r, v.Value)
				l.given(k.Path, v.Value)
				continue
			}
			l.set(k, v.Value)
		default:
			l.bad(v, path, unknown("key", path, l.known))
		}
	}
}

func (l *loader) set(k Key, node ast.Node) {
	l.given(k.Path, node)
	var text string
	if k.Type() == "list" && hasKeys(node) {
		l.bad(node, k.Path, "want a list of texts without keys: "+k.Want())
		return
	}
	if seq, ok := node.(*ast.SequenceNode); ok && k.Type() == "list" {
		items := l.texts(k.Path, seq)
		for _, item := range items {
			if strings.Contains(item, ",") || item == "" {
				l.bad(node, k.Path, fmt.Sprintf("%q is not accepted: want %s", item, k.Want()))
				return
			}
		}
		text = strings.Join(items, ",")
	} else if text, ok = l.text(k.Path, node); !ok {
		return
	}
	if k.Type() == "file" && text != "" && !filepath.IsAbs(text) {
		text = filepath.Join(l.dir, text)
	}
	if err := k.value.Set(text); err != nil {
		l.bad(node, k.Path, err.Error())
	}
	if k.Type() == "secret" && text != "" {
		l.secrets = append(l.secrets, k.Path)
	}
}

// hasKeys reports whether a node or one of its items is a mapping.
func hasKeys(node ast.Node) bool {
	if seq, ok := node.(*ast.SequenceNode); ok {
		return slices.ContainsFunc(seq.Values, hasKeys)
	}
	return node.Type() == ast.MappingType || node.Type() == ast.MappingValueType
}

// text reads a scalar as it is written: `off`, 64KiB and 010 mean what they say.
func (l *loader) text(path string, node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.NullNode:
		l.bad(node, path, "has no value: write one, or leave the key out")
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		l.bad(node, path, "anchors, aliases and tags are not read here")
	default:
		l.bad(node, path, "want one value")
	}
	return "", false
}

func (l *loader) bad(node ast.Node, path, text string) {
	at := line(node)
	if v, ok := node.(*ast.MappingValueNode); ok {
		at = line(v.Key)
	}
	l.problems = append(l.problems, &KeyError{Source: fmt.Sprintf("%s:%d", l.name, at), Key: path, Text: text})
}

// given notes where a key, or an item of a list, stands.
func (l *loader) given(path string, node ast.Node) {
	l.places[path] = fmt.Sprintf("%s:%d", l.name, line(node))
}

func line(node ast.Node) int { return node.GetToken().Position.Line }

// key returns the name of a mapping's entry.
func key(v *ast.MappingValueNode) string { return v.Key.GetToken().Value }
