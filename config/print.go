package config

import (
	"encoding"
	"fmt"
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"
)

// YAML returns the configuration in effect, defaults and environment
// included, as YAML with secrets hidden.
func (c *Config) YAML() ([]byte, error) {
	return yaml.Marshal(structNode(c))
}

// structNode is node for what a pointer leads to.
func structNode(pointer any) *yaml.Node { return node(reflect.ValueOf(pointer).Elem()) }

// node turns a value into YAML as the file spells it.
func node(v reflect.Value) *yaml.Node {
	switch x := v.Interface().(type) {
	case time.Duration:
		return scalar(FormatDuration(x))
	case Options:
		return encode(x.Redacted())
	case JWKS:
		return encode(x.values())
	case Limit:
		if x.Off {
			return scalar("off")
		}
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			return scalar(hidden)
		}
		return scalar(string(text))
	}
	switch v.Kind() {
	case reflect.Struct:
		out := &yaml.Node{Kind: yaml.MappingNode}
		for f := range fields(v.Type()) {
			out.Content = append(out.Content, scalar(f.key), node(v.Field(f.index)))
		}
		return out
	case reflect.Map:
		out := &yaml.Node{Kind: yaml.MappingNode}
		for _, key := range sortedKeys(v) {
			out.Content = append(out.Content, scalar(key), node(v.MapIndex(reflect.ValueOf(key))))
		}
		return out
	case reflect.Slice:
		out := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			out.Content = append(out.Content, node(v.Index(i)))
		}
		if v.Len() == 0 {
			out.Style = yaml.FlowStyle
		}
		return out
	default:
		return encode(v.Interface())
	}
}

// scalar is text; the encoder quotes what would be read as something else.
func scalar(text string) *yaml.Node { return encode(text) }

func encode(v any) *yaml.Node {
	out := &yaml.Node{}
	if err := out.Encode(v); err != nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: fmt.Sprintf("(%T)", v)}
	}
	return out
}

func sortedKeys(m reflect.Value) []string {
	var keys []string
	for _, k := range m.MapKeys() {
		keys = append(keys, k.String())
	}
	return sorted(keys)
}
