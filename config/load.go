package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/v2"
)

// prefix begins the names of our environment variables.
const prefix = "HANDSET_"

// separator stands between the keys of a path inside koanf. It must not occur
// in a key: dots do (limits of a later version, options of a connection).
const separator = "\x1f"

// Load reads the file and then the environment ("NAME=value", as os.Environ
// gives it), which wins. It reads the files that hold secrets, except the
// secret key, and checks everything ([Config.Validate]).
//
// The error is an *[Error] that lists all problems; the configuration is then
// returned too, as far as it could be understood, so that a caller can add to
// the list. An error that wraps [fs.ErrNotExist] says that there is no file.
func Load(path string, environ []string) (*Config, []Warning, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	return parse(path, text, environ)
}

func parse(source string, text []byte, environ []string) (*Config, []Warning, error) {
	merged := koanf.New(separator)
	if err := merged.Load(inline(text), yaml.Parser()); err != nil {
		return nil, nil, &Error{Source: source, Problems: []Problem{{Message: syntaxMessage(text, err)}}}
	}
	d := &decoder{}
	if err := mergeEnviron(merged, environ, d); err != nil {
		return nil, nil, err
	}
	c := Default()
	d.decode("", merged.Raw(), c)
	readSecretFiles(c, d)
	fillVendors(c, environ, d)
	problems, warnings := c.Validate()
	all := slices.Concat(d.problems, unrepeated(d.problems, problems))
	return c, slices.Concat(d.warnings, warnings), Join(source, nil, all...)
}

// inline is a koanf.Provider of text in memory.
type inline []byte

// ReadBytes returns the text.
func (p inline) ReadBytes() ([]byte, error) { return p, nil }

// Read is not used: the text has a parser.
func (p inline) Read() (map[string]any, error) { return nil, errors.ErrUnsupported }

// unrepeated drops what validation says about values that could not even be read.
func unrepeated(first, more []Problem) []Problem {
	return slices.DeleteFunc(slices.Clone(more), func(p Problem) bool {
		return slices.ContainsFunc(first, func(q Problem) bool {
			return p.Path == q.Path || within(p.Path, q.Path) || within(q.Path, p.Path)
		})
	})
}

// within reports whether the path inner is below outer.
func within(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && outer != "" && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "["))
}

var yamlLine = regexp.MustCompile(`line \d+`)

// syntaxMessage says where the YAML is broken. The parser's text for a wrong
// type quotes the value, which may be a secret, so only its line is kept.
func syntaxMessage(source []byte, err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(text, "cannot unmarshal") {
		return "not a YAML file of keys and values (" + yamlLine.FindString(text) + ")"
	}
	text = strings.TrimSpace(strings.TrimPrefix(text, "unmarshal errors:"))
	return "not valid YAML: " + strings.Join(strings.Fields(brokenLine(source, text)), " ")
}

var lineFirst = regexp.MustCompile(`^line (\d+): (.*)`)

// brokenLine corrects the line that the library names. It counts from 0 for what
// its parser finds, from 1 for what its scanner finds, and takes a tab for part
// of the line before.
func brokenLine(source []byte, text string) string {
	found := lineFirst.FindStringSubmatch(text)
	if found == nil {
		return text
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		return text
	}
	lines := strings.Split(strings.TrimRight(string(source), "\n"), "\n")
	switch {
	case strings.HasPrefix(found[2], "did not find expected"):
		n = min(n+1, len(lines))
	case strings.HasPrefix(found[2], "found a tab character"):
		for i := max(n-1, 0); i < len(lines); i++ {
			if strings.HasPrefix(strings.TrimLeft(lines[i], " "), "\t") {
				n = i + 1
				break
			}
		}
	}
	return fmt.Sprintf("line %d: %s", n, found[2])
}

// mergeEnviron lays the environment over the file. A name that no key has is a
// warning: orchestrators inject names of their own.
func mergeEnviron(k *koanf.Koanf, environ []string, d *decoder) error {
	over := map[string]any{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || value == "" {
			continue
		}
		keys := strings.Split(strings.ToLower(strings.TrimPrefix(name, prefix)), "__")
		switch settable(reflect.TypeFor[Config](), keys) {
		case unknownKey:
			d.warn(name, "no setting has this name; ignored")
		case listKey:
			d.problem(name, "lists are not set by environment: write "+strings.Join(keys, ".")+" in the file")
		case scalarKey:
			k.Delete(strings.Join(opposite(keys), separator))
			put(over, keys, value)
		}
	}
	return k.Load(layer(over), nil)
}

// layer is a koanf.Provider of a map.
type layer map[string]any

// ReadBytes is not used: a map needs no parser.
func (l layer) ReadBytes() ([]byte, error) { return nil, errors.ErrUnsupported }

// Read returns the map.
func (l layer) Read() (map[string]any, error) { return l, nil }

// opposite returns the key that the environment's one replaces: a secret by
// file replaces the secret itself, and the other way round.
func opposite(keys []string) []string {
	out := slices.Clone(keys)
	last := &out[len(out)-1]
	if plain, ok := strings.CutSuffix(*last, "_file"); ok {
		*last = plain
	} else {
		*last += "_file"
	}
	return out
}

func put(m map[string]any, keys []string, value string) {
	for _, key := range keys[:len(keys)-1] {
		inner, ok := m[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			m[key] = inner
		}
		m = inner
	}
	last := keys[len(keys)-1]
	if _, nested := m[last].(map[string]any); !nested {
		m[last] = value
	}
}

// keyKind says what the environment may do with a path of keys.
type keyKind int

const (
	unknownKey keyKind = iota
	listKey
	scalarKey
)

// settable finds a path of keys in a type.
func settable(t reflect.Type, keys []string) keyKind {
	switch {
	case t == reflect.TypeFor[Limits]() && len(keys) > 0:
		if _, ok := DefaultLimits()[keys[0]]; !ok {
			return unknownKey
		}
		if len(keys) == 1 { // "off"
			return scalarKey
		}
		return settable(reflect.TypeFor[Limit](), keys[1:])
	case t.Kind() == reflect.Slice, t == reflect.TypeFor[Senders](), t == reflect.TypeFor[Attributes]():
		return listKey
	case t.Kind() != reflect.Struct || isScalar(t):
		if len(keys) == 0 {
			return scalarKey
		}
		return unknownKey
	case len(keys) == 0:
		return unknownKey
	}
	for f := range fields(t) {
		if f.key == keys[0] {
			return settable(f.typ, keys[1:])
		}
	}
	return unknownKey
}

// readSecretFiles puts the content of …_file keys in place.
func readSecretFiles(c *Config, d *decoder) {
	addresses := []struct {
		file  string
		key   string
		into  *Address
		unset Address
	}{
		{c.DatabaseFile, "database", &c.Database, Default().Database},
		{c.RedisFile, "redis", &c.Redis, Default().Redis},
	}
	for _, a := range addresses {
		if a.file == "" {
			continue
		}
		if *a.into != a.unset {
			d.problem(a.key, "set "+a.key+" or "+a.key+"_file, not both")
			continue
		}
		if text, ok := d.file(a.key+"_file", a.file); ok {
			*a.into = NewAddress(text)
		}
	}
	if !c.SecretKey.IsZero() {
		if c.SecretKeyFile != Default().SecretKeyFile {
			d.problem("secret_key", "set secret_key or secret_key_file, not both")
		}
		c.SecretKeyFile = ""
	}
	for i := range c.Clients {
		c.Clients[i].readSecret(d, at("clients", i))
	}
	for i := range c.Connections {
		c.Connections[i].Options.readSecret(d, at("connections", i)+".options")
	}
	for _, name := range c.Senders.names() {
		o := c.Senders[name]
		o.readSecret(d, join("senders", name))
		c.Senders[name] = o
	}
}

// file reads a secret. A line feed at its end is the editor's, not the secret's.
func (d *decoder) file(path, name string) (string, bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		d.problem(path, fileMessage(name, err))
		return "", false
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		d.problem(path, fmt.Sprintf("the file %s is empty", name))
		return "", false
	}
	return secret, true
}

// fileMessage says why a file can't be read, without repeating its name.
func fileMessage(name string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("there is no file %s", name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("the file %s may not be read by this user", name)
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return fmt.Sprintf("the file %s can't be read: %v", name, err)
}
