package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// records is a list of structs, such as auth.jwt. Its items have tables of their
// own, so that their keys are as strict as all others. In the environment the
// keys of the first item are LIST_0_KEY. An item may have a list of its own.
type records struct {
	items   reflect.Value // the slice
	example string        // an item
}

// maxRecords bounds each list, in the file and in the environment.
const maxRecords = 100

func (r *records) length() int { return r.items.Len() }

// grow adds an item with the defaults.
func (r *records) grow() {
	item := r.empty()
	setDefaults(fields(item, nil))
	r.items.Set(reflect.Append(r.items, item))
}

// item returns the keys of an item.
func (r *records) item(i int) []Key { return fields(r.items.Index(i), nil) }

// fresh returns the keys of an empty item, for the documentation.
func (r *records) fresh() []Key { return fields(r.empty(), nil) }

func (r *records) empty() reflect.Value { return reflect.New(r.items.Type().Elem()).Elem() }

func (r *records) all() any { return r.items.Interface() }

func (r *records) Set(string) error {
	return errors.New("is a list: write it in the file, or set the variables of its items")
}
func (r *records) String() string { return "[]" }
func (r *records) Type() string   { return "items" }
func (r *records) Want() string   { return "a list of " + r.example }

// records reads a list of structs.
func (l *loader) records(k Key, r *records, node ast.Node) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		if node.Type() != ast.NullType {
			l.bad(node, k.Path, "want "+r.Want())
		}
		return
	}
	for i, item := range seq.Values {
		if i == maxRecords {
			l.bad(item, k.Path, fmt.Sprintf("has more than %d items", maxRecords))
			return
		}
		r.grow()
		at := fmt.Sprintf("%s[%d]", k.Path, i)
		l.given(at, item)
		l.record(at, r.item(i), item)
	}
}

func (l *loader) record(path string, keys []Key, node ast.Node) {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		text := "want keys and values"
		if i := slices.IndexFunc(keys, func(k Key) bool { return k.must }); i >= 0 {
			text += fmt.Sprintf(" such as {%s: …}", keys[i].Path)
		}
		l.bad(node, path, text)
		return
	}
	known := make([]string, len(keys))
	for i, k := range keys {
		known[i] = k.Path
	}
	for _, v := range m.Values {
		at := -1
		for i := range keys {
			if keys[i].Path == key(v) {
				at = i
			}
		}
		if at < 0 {
			l.bad(v, path+"."+key(v), unknown("key", key(v), known))
			continue
		}
		k := keys[at]
		k.Path = path + "." + k.Path
		if inner, ok := k.value.(*records); ok {
			l.records(k, inner, v.Value)
			l.given(k.Path, v.Value)
			continue
		}
		l.set(k, v.Value)
	}
}

// missing returns an error for each required key that an item lacks. Keys and
// variables that were not accepted have their own errors.
func (r *records) missing(path string, rejected map[string]bool) (problems []error) {
	for i := range r.length() {
		for _, k := range r.item(i) {
			at := fmt.Sprintf("%s[%d].%s", path, i, k.Path)
			if inner, ok := k.value.(*records); ok {
				problems = append(problems, inner.missing(at, rejected)...)
			} else if k.must && k.value.String() == "" && !rejected[at] && !rejected[variableName(at)] {
				problems = append(problems, &KeyError{Key: at, Text: "is missing: want " + k.Want()})
			}
		}
	}
	return problems
}

// variable sets the key of an item. rest is the end of the variable's name, after
// that of the list, such as 0_ISSUER. The key is "" if none has this name. Items
// come in order: the first missing item is created, but not for a variable of a
// list inside it, such as 0_FETCH_0_URL, because an item has other keys as well.
//
// path is that of the list; key is that of what was set.
func (r *records) variable(path, rest, text string) (key string, err error) {
	index, name, ok := strings.Cut(rest, "_")
	i, err := strconv.Atoi(index)
	if !ok || err != nil || len(index) != 1 || i > r.length() {
		return "", nil
	}
	path = fmt.Sprintf("%s[%d].", path, i)
	for j, k := range r.fresh() {
		inner, ok := strings.CutPrefix(name, strings.ToUpper(k.Path)+"_")
		if _, list := k.value.(*records); ok && list && i < r.length() {
			return r.item(i)[j].value.(*records).variable(path+k.Path, inner, text)
		}
		if strings.ToUpper(k.Path) == name {
			if i == r.length() {
				r.grow()
			}
			return path + k.Path, r.item(i)[j].value.Set(text)
		}
	}
	return "", nil
}
