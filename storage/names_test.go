package storage_test

import (
	"reflect"
	"testing"

	"github.com/handset-oidc/handset/passcode/phone"
	"github.com/handset-oidc/handset/storage"
)

// requirements.md D8: none can be passed where another is wanted, as the compiler
// decides it.
func TestIdentifiersAreTypes(t *testing.T) {
	t.Parallel()
	types := []reflect.Type{
		reflect.TypeFor[storage.UserID](), reflect.TypeFor[storage.ClientID](), reflect.TypeFor[storage.SessionID](),
		reflect.TypeFor[storage.GrantID](), reflect.TypeFor[storage.FamilyID](), reflect.TypeFor[storage.TransactionID](), reflect.TypeFor[storage.ChallengeID](),
		reflect.TypeFor[storage.KeyID](), reflect.TypeFor[storage.ConnectionName](), reflect.TypeFor[storage.Audience](),
		reflect.TypeFor[storage.Subject](), reflect.TypeFor[storage.Sector](), reflect.TypeFor[storage.TokenID](),
		reflect.TypeFor[storage.TextID](), reflect.TypeFor[storage.VerificationID](), reflect.TypeFor[phone.Number](), reflect.TypeFor[string](),
	}
	for _, from := range types {
		for _, to := range types {
			if from != to && from.AssignableTo(to) {
				t.Errorf("a %v passes for a %v", from, to)
			}
		}
	}
}
