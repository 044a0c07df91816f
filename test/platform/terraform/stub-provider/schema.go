package main

import (
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// The file that provider-schema.ts writes.
type providerSchema struct {
	Provider        *block
	Resources, Data map[string]*block
}

type block struct {
	Attributes map[string]*attribute
	Blocks     map[string]*nestedBlock
}

type attribute struct {
	// "string", "number", "bool", ["list"|"set"|"map", TYPE], ["object", {NAME: TYPE}] or a nestedAttribute
	Type                         json.RawMessage
	Required, Optional, Computed bool
}

// An attribute that is written like `set = [{ name = "a" }]` and yet has a schema of its own.
type nestedAttribute struct {
	Nesting string
	Block   *block
}

type nestedBlock struct {
	Nesting    string // single, list, set
	Max1, Min1 bool
	Block      *block
}

func nestedIn(raw json.RawMessage) *nestedAttribute {
	if raw[0] != '{' {
		return nil
	}
	nested := &nestedAttribute{}
	check(json.Unmarshal(raw, nested))
	return nested
}

func typeOf(raw json.RawMessage) tftypes.Type {
	if nested := nestedIn(raw); nested != nil {
		return collection(nested.Nesting, nested.Block.object())
	}
	switch string(raw) {
	case `"string"`:
		return tftypes.String
	case `"number"`:
		return tftypes.Number
	case `"bool"`:
		return tftypes.Bool
	}
	var pair [2]json.RawMessage
	check(json.Unmarshal(raw, &pair))
	var kind string
	check(json.Unmarshal(pair[0], &kind))
	if kind != "object" {
		return collection(kind, typeOf(pair[1]))
	}
	var members map[string]json.RawMessage
	check(json.Unmarshal(pair[1], &members))
	types := map[string]tftypes.Type{}
	for name, member := range members {
		types[name] = typeOf(member)
	}
	return tftypes.Object{AttributeTypes: types}
}

func collection(kind string, of tftypes.Type) tftypes.Type {
	switch kind {
	case "list":
		return tftypes.List{ElementType: of}
	case "set":
		return tftypes.Set{ElementType: of}
	case "map":
		return tftypes.Map{ElementType: of}
	}
	return of
}

// object is the type of the values of a block.
func (b *block) object() tftypes.Object {
	types := map[string]tftypes.Type{}
	for name, a := range b.Attributes {
		types[name] = typeOf(a.Type)
	}
	for name, nested := range b.Blocks {
		types[name] = collection(nested.Nesting, nested.Block.object())
	}
	return tftypes.Object{AttributeTypes: types}
}

var attributeNesting = map[string]tfprotov6.SchemaObjectNestingMode{
	"single": tfprotov6.SchemaObjectNestingModeSingle,
	"list":   tfprotov6.SchemaObjectNestingModeList,
	"set":    tfprotov6.SchemaObjectNestingModeSet,
	"map":    tfprotov6.SchemaObjectNestingModeMap,
}

var blockNesting = map[string]tfprotov6.SchemaNestedBlockNestingMode{
	"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
	"list":   tfprotov6.SchemaNestedBlockNestingModeList,
	"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
}

func (b *block) protocolAttributes() []*tfprotov6.SchemaAttribute {
	var attributes []*tfprotov6.SchemaAttribute
	for name, a := range b.Attributes {
		s := &tfprotov6.SchemaAttribute{
			Name:     name,
			Required: a.Required,
			Optional: !a.Required && (a.Optional || !a.Computed),
			Computed: !a.Required && a.Computed,
		}
		if nested := nestedIn(a.Type); nested != nil {
			s.NestedType = &tfprotov6.SchemaObject{
				Attributes: nested.Block.protocolAttributes(),
				Nesting:    attributeNesting[nested.Nesting],
			}
		} else {
			s.Type = typeOf(a.Type)
		}
		attributes = append(attributes, s)
	}
	return attributes
}

func (b *block) protocol() *tfprotov6.SchemaBlock {
	schema := &tfprotov6.SchemaBlock{Attributes: b.protocolAttributes()}
	for name, nested := range b.Blocks {
		s := &tfprotov6.SchemaNestedBlock{
			TypeName: name,
			Block:    nested.Block.protocol(),
			Nesting:  blockNesting[nested.Nesting],
		}
		if nested.Nesting != "single" {
			if nested.Max1 {
				s.MaxItems = 1
			}
			if nested.Min1 {
				s.MinItems = 1
			}
		}
		schema.BlockTypes = append(schema.BlockTypes, s)
	}
	return schema
}
