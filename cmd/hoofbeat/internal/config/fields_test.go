package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/topics"
)

// Every tag of a field is one of those that fields.go explains, and fits its
// field.
func TestTagsOfFields(t *testing.T) {
	for _, of := range []any{Config{}, Node{}, JWT{}, Introspection{}, UserInfo{}, OAuth{}, Fetch{}} {
		checkTags(t, "", reflect.TypeOf(of))
	}
}

func checkTags(t *testing.T, section string, of reflect.Type) {
	for i := range of.NumField() {
		f := of.Field(i)
		at := of.Name() + "." + f.Name
		if f.Anonymous {
			checkTags(t, section, f.Type)
			continue
		}
		if !f.IsExported() || at == "Config.Rules" {
			continue
		}
		path, flag, _ := strings.Cut(f.Tag.Get("key"), ",")
		if path == "" || !slices.Contains([]string{"", "live", "must", "env"}, flag) {
			t.Errorf("%s: key %q", at, f.Tag.Get("key"))
		}
		if in, _ := cut(path); in != section {
			t.Errorf("%s: %s is not in the section %q", at, path, section)
		}
		doc := commentOf(of, f)
		if !strings.HasSuffix(doc.text, ".") || strings.Contains(doc.text, "  ") {
			t.Errorf("%s: comment %q", at, doc.text)
		}
		v := valueOf(reflect.New(f.Type).Interface(), f.Tag)
		_, list := v.(*records)
		if list != (doc.example != "") {
			t.Errorf("%s: example %q", at, doc.example)
		}
		allowed := []string{"key", "needs"}
		switch f.Type {
		case reflect.TypeFor[int](), reflect.TypeFor[Bytes](), reflect.TypeFor[time.Duration]():
			allowed = append(allowed, "default", "range")
		case reflect.TypeFor[Secret]():
		default:
			if v != nil && !list {
				allowed = append(allowed, "default", "is", "oneof", "want", "spring")
			}
		}
		for rest := string(f.Tag); rest != ""; {
			name, value, _ := strings.Cut(rest, `:"`)
			if !slices.Contains(allowed, name) {
				t.Errorf("%s: tag %q", at, name)
			}
			_, rest, _ = strings.Cut(value, `"`)
			rest = strings.TrimPrefix(rest, " ")
		}
		if text, given := f.Tag.Lookup("default"); given && v.Set(text) == nil && v.String() != text {
			t.Errorf("%s: default %q is written as %q", at, text, v.String())
		}
		if text, given := f.Tag.Lookup("range"); given && v.Want() != text {
			t.Errorf("%s: range %q is written as %q", at, text, v.Want())
		}
		if v == nil && f.Type != reflect.TypeFor[Secret]() {
			checkTags(t, path, f.Type)
		}
	}
}

// The default prefixes of destinations are those of package topics.
func TestDefaultPrefixes(t *testing.T) {
	if got, want := Default().Prefixes(), topics.DefaultPrefixes(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
