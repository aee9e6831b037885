package authz

decision := true
