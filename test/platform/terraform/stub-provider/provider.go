package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type provider struct {
	tfprotov6.ProviderServer // what terraform does not call here is not implemented: it panics

	schema  providerSchema
	fixed   fixedValues
	logFile string
}

// One write of one line: terraform works on several resources at once.
func (p *provider) log(operation, typeName string, v tftypes.Value) {
	if p.logFile == "" {
		return
	}
	f, err := os.OpenFile(p.logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	check(err)
	_, err = fmt.Fprintf(f, "%s %s %s\n", operation, typeName, nameOf(v))
	check(err)
	check(f.Close())
}

func encode(b *block, v tftypes.Value) *tfprotov6.DynamicValue {
	encoded, err := tfprotov6.NewDynamicValue(b.object(), v)
	check(err)
	return &encoded
}

func decode(b *block, v *tfprotov6.DynamicValue) tftypes.Value {
	decoded, err := v.Unmarshal(b.object())
	check(err)
	return decoded
}

func (p *provider) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	r := &tfprotov6.GetMetadataResponse{
		ServerCapabilities: &tfprotov6.ServerCapabilities{GetProviderSchemaOptional: true},
	}
	for name := range p.schema.Resources {
		r.Resources = append(r.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for name := range p.schema.Data {
		r.DataSources = append(r.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return r, nil
}

func (p *provider) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	of := func(blocks map[string]*block) map[string]*tfprotov6.Schema {
		schemas := map[string]*tfprotov6.Schema{}
		for name, b := range blocks {
			schemas[name] = &tfprotov6.Schema{Block: b.protocol()}
		}
		return schemas
	}
	return &tfprotov6.GetProviderSchemaResponse{
		Provider:          &tfprotov6.Schema{Block: p.schema.Provider.protocol()},
		ResourceSchemas:   of(p.schema.Resources),
		DataSourceSchemas: of(p.schema.Data),
	}, nil
}

func (p *provider) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (p *provider) GetFunctions(context.Context, *tfprotov6.GetFunctionsRequest) (*tfprotov6.GetFunctionsResponse, error) {
	return &tfprotov6.GetFunctionsResponse{}, nil
}

func (p *provider) ValidateProviderConfig(_ context.Context, r *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: r.Config}, nil
}

func (p *provider) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

func (p *provider) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func (p *provider) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (p *provider) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

func (p *provider) UpgradeResourceState(_ context.Context, r *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	b := p.schema.Resources[r.TypeName]
	v, err := r.RawState.Unmarshal(b.object())
	check(err)
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: encode(b, v)}, nil
}

func (p *provider) ReadResource(_ context.Context, r *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return &tfprotov6.ReadResourceResponse{NewState: r.CurrentState, Private: r.Private}, nil
}

func (p *provider) PlanResourceChange(_ context.Context, r *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	b := p.schema.Resources[r.TypeName]
	planned := b.replace(decode(b, r.ProposedNewState), computedAndNull, unknown)
	return &tfprotov6.PlanResourceChangeResponse{PlannedState: encode(b, planned), PlannedPrivate: r.PriorPrivate}, nil
}

func (p *provider) ApplyResourceChange(_ context.Context, r *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	b := p.schema.Resources[r.TypeName]
	prior, state := decode(b, r.PriorState), decode(b, r.PlannedState)
	if state.IsNull() {
		p.log("destroy", r.TypeName, prior)
	} else {
		state = b.replace(state, isUnknown, p.invent(r.TypeName, newID()))
		operation := "update"
		if prior.IsNull() {
			operation = "create"
		}
		p.log(operation, r.TypeName, state)
	}
	return &tfprotov6.ApplyResourceChangeResponse{NewState: encode(b, state), Private: r.PlannedPrivate}, nil
}

func (p *provider) ReadDataSource(_ context.Context, r *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	b := p.schema.Data[r.TypeName]
	// The same question has the same answer, another one has another.
	id := fmt.Sprintf("stub-%08x", crc32.ChecksumIEEE(r.Config.MsgPack))
	state := b.replace(decode(b, r.Config), computedAndNull, p.invent(r.TypeName, id))
	return &tfprotov6.ReadDataSourceResponse{State: encode(b, state)}, nil
}

func newID() string {
	raw := make([]byte, 4)
	_, err := rand.Read(raw)
	check(err)
	return "stub-" + hex.EncodeToString(raw)
}
