package sms

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/parser"
	"github.com/osteele/liquid/render"
	"github.com/osteele/liquid/tags"
)

// Liquid that runs for each text must end soon and stay small, whatever a template
// says. So there are no loops and no ranges, filters refuse to make long values,
// and there is no capture, with which a text can double itself forty times. A text
// must depend on its fields alone: nothing reads files or the clock.

// liquidTags are the tags that texts have, of those that Auth0 documents.
var liquidTags = []string{
	"if", "elsif", "else", "endif", "unless", "endunless", "case", "when", "endcase",
	"assign", "comment", "endcomment", "raw", "endraw",
}

// liquidTemplate is a parsed template.
type liquidTemplate struct {
	config render.Config
	root   render.Node
}

func parseLiquid(text string) (*Template, error) {
	text, err := macrosAsLiquid(text)
	if err != nil {
		return nil, err
	}
	t := &liquidTemplate{config: liquidConfig()}
	if err := guard(func() error { return t.compile(text) }); err != nil {
		return nil, err
	}
	if err := t.probe(text); err != nil {
		return nil, err
	}
	return &Template{body: func(values map[string]string) string {
		out, err := t.execute(values)
		if err != nil {
			return "" // the built-in text takes its place
		}
		return out
	}}, nil
}

// macrosAsLiquid makes macros Liquid: Auth0's own example of a Liquid template has them.
func macrosAsLiquid(text string) (string, error) {
	parts, err := splitMacros(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.text)
		if p.value != "" {
			b.WriteString("{{ " + p.value + " }}")
		}
	}
	return b.String(), nil
}

func liquidConfig() render.Config {
	config := render.NewConfig()
	tags.AddStandardTags(config) // more than liquidTags, which check refuses
	for name, filter := range liquidFilters {
		config.AddFilter(name, filter)
	}
	return config
}

// guard turns a panic of the library into an error; its parser has several, and
// what they say is not for operators.
func guard(work func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("is not valid Liquid")
		}
	}()
	return work()
}

func (t *liquidTemplate) compile(text string) error {
	begin := parser.SourceLoc{LineNo: 1}
	if err := t.check(parser.Scan(text, begin, nil)); err != nil {
		return err
	}
	root, err := t.config.Compile(text, begin)
	if err != nil {
		return fmt.Errorf("is not valid: %w", err)
	}
	t.root = root
	return nil
}

// check refuses what texts don't have, and evaluates every expression once: what
// only some languages or names would reach is wrong today as well.
func (t *liquidTemplate) check(tokens []parser.Token) error {
	scope := expressions.NewContext(bindings(probeValues("")), t.config.Config.Config)
	skipped := "" // the tag that has begun and whose content is not read
	for _, token := range tokens {
		isTag := token.Type == parser.TagTokenType
		switch {
		case skipped != "":
			if isTag && token.Name == "end"+skipped {
				skipped = ""
			}
		case isTag && (token.Name == "comment" || token.Name == "raw"):
			skipped = token.Name
		case token.Type == parser.TextTokenType:
			if strings.Contains(token.Source, "{{") || strings.Contains(token.Source, "{%") {
				return fmt.Errorf("has a {{ or {%% that is not closed (line %d)", token.SourceLoc.LineNo)
			}
		case isTag && !slices.Contains(liquidTags, token.Name):
			return fmt.Errorf("has the tag %q, which texts don't have (line %d; known: %s)",
				token.Name, token.SourceLoc.LineNo, strings.Join(liquidTags, ", "))
		default:
			if err := evaluate(token, scope); err != nil {
				return fmt.Errorf("is not valid: %w in %s (line %d)", err, token.Source, token.SourceLoc.LineNo)
			}
		}
	}
	return nil
}

// literals are the strings of expressions; none holds its own quote.
var literals = regexp.MustCompile(`"[^"]*"|'[^']*'`)

// evaluate does what the token says with the values of the probe.
func evaluate(token parser.Token, scope expressions.Context) error {
	if strings.Contains(literals.ReplaceAllString(token.Args, ""), "..") {
		return errors.New("texts have no ranges")
	}
	isObject := token.Type == parser.ObjTokenType
	switch {
	case isObject, slices.Contains([]string{"if", "elsif", "unless", "case"}, token.Name):
		e, err := expressions.Parse(token.Args)
		if err != nil {
			return err
		}
		value, err := e.Evaluate(scope)
		if err == nil && value == nil && isObject {
			return fmt.Errorf("unknown variable (known: %s)", strings.Join(variables, ", "))
		}
		return err
	case token.Name == "when":
		s, err := expressions.ParseStatement(expressions.WhenStatementSelector, token.Args)
		if err != nil {
			return err
		}
		for _, e := range s.When.Exprs {
			if _, err := e.Evaluate(scope); err != nil {
				return err
			}
		}
	case token.Name == "assign":
		s, err := expressions.ParseStatement(expressions.AssignStatementSelector, token.Args)
		if err != nil {
			return err
		}
		value, err := s.Assignment.ValueFn.Evaluate(scope)
		if err != nil {
			return err
		}
		scope.Set(s.Assignment.Variable, value)
	}
	return nil
}

// probeValues are what a template is tried with.
func probeValues(language string) map[string]string {
	return Fields{Code: "83927461", Application: "Example", Language: language}.values()
}

// probe renders the template in every language that texts know, and in those that
// it asks for itself.
func (t *liquidTemplate) probe(text string) error {
	asked := append([]string{""}, Languages()...)
	for _, literal := range literals.FindAllString(text, -1) {
		asked = append(asked, literal[1:len(literal)-1])
	}
	for _, language := range asked {
		values := probeValues(language)
		out, err := t.execute(values)
		switch {
		case err != nil:
			return err
		case strings.Contains(out, values["code"]):
		case language == "":
			return errors.New("doesn't show the code when no language was asked for: write {{ password }} where it belongs, outside of conditions or after an else")
		default:
			return fmt.Errorf("doesn't show the code when the language is %q: write {{ password }} where it belongs", language)
		}
	}
	return nil
}

// execute renders the template. The library works on copies of what it is given.
func (t *liquidTemplate) execute(values map[string]string) (string, error) {
	var out bounded
	err := guard(func() error {
		if err := render.Render(t.root, &out, bindings(values), t.config); err != nil {
			return fmt.Errorf("fails: %w", err)
		}
		return nil
	})
	if err == nil && out.overflowed {
		err = errTooLong
	}
	return strings.TrimSpace(out.String()), err
}

// bindings are values as Liquid looks them up: application.name is a member.
func bindings(values map[string]string) map[string]any {
	out := map[string]any{}
	for name, value := range values {
		object, member, isMember := strings.Cut(name, ".")
		if isMember {
			out[object] = map[string]any{member: value}
		} else {
			out[name] = value
		}
	}
	return out
}

var errTooLong = fmt.Errorf("makes more than %d bytes", maxText)

// bounded keeps what it is given up to maxText bytes. It never fails: the library
// panics when its writer does.
type bounded struct {
	strings.Builder
	overflowed bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxText {
		b.overflowed = true
		return len(p), nil
	}
	return b.Builder.Write(p)
}
