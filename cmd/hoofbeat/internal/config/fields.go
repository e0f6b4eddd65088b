package config

import (
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"time"
)

// A key is declared once: as a field of Config, or of a struct in it. The
// comment of the field is the documentation of the key; an indented line after
// it is the example of a list of structs. The tags of the field are:
//
//	key:"limits.frame,live"       the name of the key, or of a section, and:
//	                              live: a reload applies changes
//	                              must: every item of the list has it
//	                              env: a secret, only in the environment
//	default:"64KiB"               otherwise: false, off (an address) or empty
//	range:"1KiB to 1GiB, or off"  of an int, Bytes or a time.Duration
//	oneof:"replace refuse pass"   the accepted words
//	is:"url"                      the kind of a text or of the items of a list:
//	                              see kinds
//	want:"a text such as abc"     the accepted values in words, if they are not
//	                              those of the kind
//	needs:"listen sockjs"         what it needs so that it has an effect: see
//	                              needs. What a section needs, its keys need,
//	                              too, but not a key with needs:"-"
//	spring:"broadcast"            the default with compatibility: spring
//
// The default file, the documentation, the names of variables and flags, and
// the errors all come from there.

// bind gives the fields of c their defaults. It returns the keys.
func bind(c *Config) []Key {
	keys := fieldsOf(c)
	setDefaults(keys)
	return keys
}

func setDefaults(keys []Key) {
	for _, k := range keys {
		if k.Default == k.value.String() {
			continue
		}
		if err := k.value.Set(k.Default); err != nil {
			panic("config: default of " + k.Path + ": " + err.Error())
		}
	}
}

// fieldsOf returns the keys of c, tied to its fields, in their order. It changes
// no field.
func fieldsOf(c *Config) []Key { return fields(reflect.ValueOf(c).Elem(), nil) }

// fields returns the keys of a struct in a section that has these needs.
func fields(v reflect.Value, needs []string) (keys []Key) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous { // its keys are those of the struct around it
			keys = append(keys, fields(v.Field(i), needs)...)
			continue
		}
		name, flags, _ := strings.Cut(f.Tag.Get("key"), ",")
		if name == "" {
			continue
		}
		p := v.Field(i).Addr().Interface()
		c := commentOf(v.Type(), f)
		k := Key{
			Path: name, Doc: c.text, needs: add(needs, f.Tag.Get("needs")), spring: f.Tag.Get("spring"),
			Live: flags == "live", must: flags == "must", envOnly: flags == "env",
		}
		if s, ok := p.(*Secret); ok {
			keys = append(keys, secretKeys(k, s)...)
			continue
		}
		k.value = valueOf(p, f.Tag)
		switch list := k.value.(type) {
		case nil:
			keys = append(keys, fields(v.Field(i), k.needs)...)
			continue
		case *records:
			list.example = c.example
		}
		var set bool
		if k.Default, set = f.Tag.Lookup("default"); !set {
			k.Default = valueOf(reflect.New(f.Type).Interface(), f.Tag).String()
		}
		keys = append(keys, k)
	}
	return keys
}

// add adds the needs of a key or section to those of the section around it. "-"
// removes the last of them.
func add(needs []string, own string) []string {
	if own == "-" {
		return needs[:len(needs)-1]
	}
	return append(needs[:len(needs):len(needs)], strings.Fields(own)...)
}

// secretKeys are the two keys of a secret: the secret itself, and the file that
// it can be in instead.
func secretKeys(k Key, s *Secret) []Key {
	file := k
	file.Path, file.Doc = k.Path+"_file", "File that contains "+k.Path+" and nothing else."
	file.value = word{&s.File, kinds["file"]}
	k.Doc += " Prefer the environment or " + last(k.Path) + "_file."
	k.value = word{&s.Text, kinds["secret"]}
	return []Key{k, file}
}

// valueOf returns the value behind p, the pointer to a field with these tags. It
// returns nil for a section.
func valueOf(p any, tag reflect.StructTag) value {
	switch p := p.(type) {
	case *bool:
		return boolean{p}
	case *int:
		return newNumber(p, countUnit(), tag.Get("range"))
	case *Bytes:
		return newNumber(p, sizeUnit(), tag.Get("range"))
	case *time.Duration:
		return newNumber(p, durationUnit(), tag.Get("range"))
	case *slog.Level:
		return level{p}
	case *string:
		if words := tag.Get("oneof"); words != "" {
			return choice{p, strings.Fields(words)}
		}
		if is := tag.Get("is"); is == "address" || is == "listener" {
			return address{p, is == "listener"}
		}
		return word{p, kindOf(tag)}
	case *[]string:
		return list{p, kindOf(tag)}
	case textValue:
		return text{p, kindOf(tag)}
	}
	if v := reflect.ValueOf(p).Elem(); v.Kind() == reflect.Slice {
		return &records{items: v}
	}
	return nil
}

// kindOf is the kind of a text with these tags.
func kindOf(tag reflect.StructTag) kind {
	name := tag.Get("is")
	k, ok := kinds[name]
	if !ok {
		panic("config: no kind " + name)
	}
	if want := tag.Get("want"); want != "" {
		k.want = want
	}
	return k
}

// sections returns the documentation of the groups of keys.
var sections = sync.OnceValue(func() map[string]string {
	all := make(map[string]string)
	addSections(all, reflect.TypeFor[Config]())
	return all
})

func addSections(all map[string]string, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("key")
		if p := reflect.New(f.Type).Interface(); name != "" && f.Type != reflect.TypeFor[Secret]() && valueOf(p, f.Tag) == nil {
			all[name] = commentOf(t, f).text
			addSections(all, f.Type)
		}
	}
}
