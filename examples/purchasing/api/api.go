// Package api offers the vendors over REST and over gRPC. Both want an access token of
// Handset: package resource checks it on every call, and what is left to do here is to
// say which scope a call needs and to read the employee from the caller.
package api

import (
	"context"

	"github.com/handset-oidc/handset/resource"

	"github.com/handset-oidc/handset/examples/purchasing/vendors"
)

// The scopes, as they are registered with Handset.
const (
	Read  = resource.Scope("read:vendors")
	Write = resource.Scope("write:vendors")
)

// employee is who calls. A token of somebody who is no employee has no such claim.
func employee(ctx context.Context) (vendors.Employee, error) {
	caller, ok := resource.FromContext(ctx)
	if !ok {
		return "", resource.ErrNoClaim
	}
	var number vendors.Employee
	if err := caller.Claim("employee_id", &number); err != nil {
		return "", err
	}
	return number, nil
}
