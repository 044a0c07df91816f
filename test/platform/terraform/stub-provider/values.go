package main

import (
	"encoding/json"
	"math/big"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type maker func(attribute string, t tftypes.Type) tftypes.Value

func unknown(_ string, t tftypes.Type) tftypes.Value {
	return tftypes.NewValue(t, tftypes.UnknownValue)
}

// replace puts values of the maker where `when` says so, in the block and all blocks in it.
func (b *block) replace(v tftypes.Value, when func(*attribute, tftypes.Value) bool, with maker) tftypes.Value {
	if v.IsNull() || !v.IsKnown() {
		return v
	}
	var members map[string]tftypes.Value
	check(v.As(&members))
	for name, a := range b.Attributes {
		if when(a, members[name]) {
			members[name] = with(name, typeOf(a.Type))
		}
	}
	for name, nested := range b.Blocks {
		inner := members[name]
		if inner.IsNull() || !inner.IsKnown() {
			continue
		}
		if nested.Nesting == "single" {
			members[name] = nested.Block.replace(inner, when, with)
			continue
		}
		var items []tftypes.Value
		check(inner.As(&items))
		for i := range items {
			items[i] = nested.Block.replace(items[i], when, with)
		}
		members[name] = tftypes.NewValue(inner.Type(), items)
	}
	return tftypes.NewValue(b.object(), members)
}

func computedAndNull(a *attribute, v tftypes.Value) bool { return a.Computed && v.IsNull() }
func isUnknown(_ *attribute, v tftypes.Value) bool       { return !v.IsKnown() }

// invent makes what a cloud would compute; fixed values of the resource's type go first.
func (p *provider) invent(typeName, id string) maker {
	return func(attribute string, t tftypes.Type) tftypes.Value {
		if raw, ok := p.fixed[typeName][attribute]; ok {
			v, err := tftypes.ValueFromJSON(raw, t)
			check(err)
			return v
		}
		return invent(strings.TrimPrefix(typeName, "aws_"), id, attribute, t)
	}
}

func invent(kind, id, name string, t tftypes.Type) tftypes.Value {
	switch {
	case t.Is(tftypes.String):
		return tftypes.NewValue(t, inventString(kind, id, name))
	case t.Is(tftypes.Number):
		return tftypes.NewValue(t, big.NewFloat(1))
	case t.Is(tftypes.Bool):
		return tftypes.NewValue(t, false)
	case t.Is(tftypes.Object{}):
		members := map[string]tftypes.Value{}
		for member, of := range t.(tftypes.Object).AttributeTypes {
			members[member] = invent(kind, id, member, of)
		}
		return tftypes.NewValue(t, members)
	case t.Is(tftypes.List{}):
		of := t.(tftypes.List).ElementType
		if of.Is(tftypes.Object{}) { // such as certificate_authority[0].data
			return tftypes.NewValue(t, []tftypes.Value{invent(kind, id, name, of)})
		}
		return tftypes.NewValue(t, []tftypes.Value{})
	case t.Is(tftypes.Set{}):
		return tftypes.NewValue(t, []tftypes.Value{})
	case t.Is(tftypes.Map{}):
		return tftypes.NewValue(t, map[string]tftypes.Value{})
	}
	return tftypes.NewValue(t, nil)
}

// inventString knows the forms that configurations take apart or validate.
func inventString(kind, id, name string) string {
	switch {
	case name == "id":
		return id
	case kind == "iam_role" && name == "arn":
		return "arn:aws:iam::123456789012:role/" + id
	case kind == "kms_key" && name == "arn":
		return "arn:aws:kms:us-east-1:123456789012:key/" + id
	case name == "arn" || strings.HasSuffix(name, "_arn"):
		return "arn:aws:stub:us-east-1:123456789012:" + kind + "/" + id
	case name == "endpoint" || name == "issuer" || name == "url":
		return "https://" + id + ".invalid"
	case name == "data": // of a certificate, in Base64
		return "c3R1Yg=="
	}
	return name + "-" + id
}

// nameOf is what the log calls a resource.
func nameOf(v tftypes.Value) string {
	var members map[string]tftypes.Value
	check(v.As(&members))
	for _, key := range []string{"addon_name", "node_group_name_prefix", "name", "cidr_block", "id"} {
		var name *string
		if member, ok := members[key]; ok && member.IsKnown() && member.As(&name) == nil && name != nil {
			return *name
		}
	}
	return "?"
}

type fixedValues map[string]map[string]json.RawMessage
