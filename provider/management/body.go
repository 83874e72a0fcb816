package management

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/handset-oidc/handset/internal/strictjson"
	"github.com/handset-oidc/handset/internal/web"
)

// document is the object of a request's body.
type document map[string]json.RawMessage

func readBody(w http.ResponseWriter, r *http.Request, v any) error {
	if r.ContentLength == 0 && r.Header.Get("Content-Type") == "" { // nothing, of no type
		return invalid("", "Expected type %s but found type null", shapeOf(v))
	}
	raw, err := web.DocumentBody(w, r)
	switch {
	case errors.Is(err, web.ErrMediaType):
		return fault(http.StatusUnsupportedMediaType, "", textMediaType)
	case err != nil:
		return fault(http.StatusRequestEntityTooLarge, "", textTooLong)
	}
	err = strictjson.Decode(raw, v)
	_, twice := errors.AsType[*strictjson.TwiceError](err)
	switch {
	case err == nil:
		return nil
	case twice, errors.Is(err, strictjson.ErrSyntax), errors.Is(err, strictjson.ErrText), errors.Is(err, strictjson.ErrDeep):
		return fault(http.StatusBadRequest, "", textMalformed)
	}
	return mistyped("", v, err)
}

// readDocument reads a body that must be an object.
func readDocument(w http.ResponseWriter, r *http.Request) (document, error) {
	var d document
	if err := readBody(w, r, &d); err != nil {
		return nil, err
	}
	if d == nil {
		return nil, invalid("", "Expected type object but found type null")
	}
	return d, nil
}

// into fills the properties that are there, by name, and refuses all others and those
// of another type. null counts as absent.
func (d document) into(path string, properties map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(d)) {
		target, known := properties[name]
		if !known {
			return invalid("", "Additional properties not allowed: %s", named(path+name))
		}
		if string(d[name]) == "null" {
			continue
		}
		if err := decode(d[name], target); err != nil {
			return mistyped(path+name, target, err)
		}
	}
	return nil
}

// has reports whether a property is there, and not null.
func (d document) has(name string) bool {
	raw, ok := d[name]
	return ok && string(raw) != "null"
}

// decode puts a value in place of what target points to. It reads into a new one:
// encoding/json would add to the maps, and fill the elements of the lists, that are there.
func decode(raw json.RawMessage, target any) error {
	place := reflect.ValueOf(target).Elem()
	fresh := reflect.New(place.Type())
	if err := strictjson.Decode(raw, fresh.Interface()); err != nil {
		return err
	}
	place.Set(fresh.Elem())
	return nil
}

// mistyped says why a property, or the body, can't be read into target.
func mistyped(property string, target any, err error) error {
	if strange, ok := errors.AsType[*strictjson.UnknownError](err); ok {
		return invalid(property, "Additional properties not allowed: %s", named(strange.Name))
	}
	return invalid(property, "Expected type %s", shapeOf(target))
}

// shapeOf names the JSON type of what a property is read into.
func shapeOf(target any) string {
	switch target.(type) {
	case *string, **string:
		return "string"
	case *bool, **bool:
		return "boolean"
	case *int:
		return "integer"
	case *map[string]any, *map[string]string, *document, *json.RawMessage, *object:
		return "object"
	}
	return "array"
}

// object is an answer.
type object map[string]any

// asObject is a record by its JSON names.
func asObject(v any) (object, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var o object
	return o, strictjson.Decode(raw, &o)
}

// isObject takes raw JSON that is an object.
func isObject(raw json.RawMessage) bool {
	var o map[string]json.RawMessage
	return json.Unmarshal(raw, &o) == nil && o != nil
}

// sameJSON reports whether two texts are the same value; none is the same as none.
func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if len(a) > 0 && decode(a, &x) != nil || len(b) > 0 && decode(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}
