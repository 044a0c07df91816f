/**
 * The schema of a Terraform provider, read from the classes that CDK for Terraform generates from it and publishes on
 * npm. The provider itself is nowhere to be had without its registry.
 *
 * What those classes do not say is left out: validators, defaults, which change replaces a resource.
 */

/** As in stub-provider/schema.go. */
export interface ProviderSchema {
  provider: Block;
  resources: Record<string, Block>;
  data: Record<string, Block>;
}

interface Block {
  attributes: Record<string, Attribute>;
  blocks: Record<string, { nesting: string; max1: boolean; min1: boolean; block: Block }>;
}

type Type = string | [string, Type | Record<string, Type>] | { nesting: string; block: Block };

interface Flags {
  required: boolean;
  optional: boolean;
  computed: boolean;
}

interface Attribute extends Flags {
  type: Type;
}

export interface SchemaOptions {
  /** Whether the provider writes nested things as attributes (`set = [{…}]`); the classes do not tell. Timeouts are always blocks. */
  nestedAttributes?: boolean;
}

/** `sources`: the text of the generated module of each resource, each data source, and the provider. */
export function readProviderSchema(
  sources: Iterable<string>,
  { nestedAttributes = false }: SchemaOptions = {},
): ProviderSchema {
  const schema: ProviderSchema = { provider: { attributes: {}, blocks: {} }, resources: {}, data: {} };
  for (const source of sources) new GeneratedModule(source, nestedAttributes).addTo(schema);
  return schema;
}

/** An argument as the generated code writes it to HCL. */
interface Argument {
  name: string;
  value: string;
  isBlock: boolean;
  type: string;
  storageClass: string;
}

/** Flags, and the lines of code after them, which tell the type of what is only computed. */
type CommentedFlags = Flags & { code: string };

const primitives: Record<string, string> = { string: 'string', number: 'number', boolean: 'bool' };

class GeneratedModule {
  readonly #classes = new Map<string, { base: string; body: string }>();
  readonly #toHcl = new Map<string, string>();
  readonly #structs = new Map<string, Block>();
  readonly #source: string;
  readonly #nestedAttributes: boolean;

  constructor(source: string, nestedAttributes: boolean) {
    this.#source = source;
    this.#nestedAttributes = nestedAttributes;
    for (const [, name, base, body] of source.matchAll(/^class (\w+) extends ([\w.]+) \{([\s\S]*?)^\}/gm))
      this.#classes.set(name!, { base: base!, body: body! });
    for (const [, name, body] of source.matchAll(/^function (\w+)ToHclTerraform\(struct\) \{([\s\S]*?)^\}/gm))
      this.#toHcl.set(name!.toLowerCase(), body!);
  }

  addTo(schema: ProviderSchema): void {
    for (const [name, { base, body }] of this.#classes) {
      const type =
        /static tfResourceType = "(\w+)"/.exec(body)?.[1] ??
        new RegExp(`^${name}\\.tfResourceType = "(\\w+)"`, 'm').exec(this.#source)?.[1];
      if (type === undefined) continue;
      const written = readArguments(body.slice(body.indexOf('synthesizeHclAttributes')));
      if (base.endsWith('TerraformProvider')) {
        const taken = written.filter(argument => argument.name !== 'alias');
        const flags = { required: false, optional: true, computed: false, code: '' };
        schema.provider = this.#block(taken, new Map(taken.map(({ name }) => [name, flags])), '');
      } else {
        const kind = base.endsWith('TerraformDataSource') ? 'data' : 'resources';
        schema[kind][type] = this.#block(written, readFlags(body), body);
      }
    }
  }

  #block(written: Argument[], commented: Map<string, CommentedFlags>, body: string): Block {
    const block: Block = { attributes: {}, blocks: {} };
    for (const { name, value, isBlock, type, storageClass } of written) {
      const flags = flagsOnly(commented.get(name) ?? flagsByReset(name, body));
      if (!/^[A-Z]/.test(storageClass)) {
        block.attributes[name] = { type: simpleType(type, storageClass), ...flags };
        continue;
      }
      const nested = this.#struct(storageClass);
      const nesting = type === 'struct' ? 'single' : type;
      if (!isBlock || (this.#nestedAttributes && name !== 'timeouts'))
        block.attributes[name] = { type: { nesting, block: nested }, ...flags };
      else if (flags.computed)
        block.attributes[name] = {
          type: [type === 'set' ? 'set' : 'list', objectType(nested)],
          ...flags,
        };
      else
        block.blocks[name] = {
          nesting,
          max1: nesting !== 'single' && !value.includes('listMapper'),
          min1: flags.required,
          block: nested,
        };
    }
    for (const [name, flags] of commented)
      if (!(name in block.attributes) && !(name in block.blocks))
        block.attributes[name] = { type: this.#computedType(name, flags.code, body), ...flagsOnly(flags) };
    return block;
  }

  /** `name`: of the class, with List or Map at the end where there are several. */
  #struct(name: string): Block {
    const single = name.replace(/(List|Map)$/, '');
    let block = this.#structs.get(single);
    if (!block) {
      const code = this.#toHcl.get(single.toLowerCase()) ?? this.#toHcl.get(name.toLowerCase()) ?? '';
      const body =
        this.#classes.get(`${single}OutputReference`)?.body ??
        this.#classes.get(`${name}OutputReference`)?.body ??
        '';
      block = this.#block(readArguments(code), readFlags(body), body);
      this.#structs.set(single, block);
    }
    return block;
  }

  #computedType(name: string, code: string, body: string): Type {
    // Where the class sets it in its constructor or in a field initializer.
    const near = `${new RegExp(`new \\w+\\(this, "${name}".*`).exec(body)?.[0] ?? ''}${code}`;
    const map = /new cdkt[fn]\.(String|Number|Boolean|Any)Map\(/.exec(near)?.[1];
    if (map) return ['map', primitives[map.toLowerCase()] ?? 'string'];
    const list = /new (\w+?)List\(this, "\w+", (true|false)\)/.exec(near);
    if (list) return [list[2] === 'true' ? 'set' : 'list', objectType(this.#struct(list[1]!))];
    const reference = /new (\w+)OutputReference\(this, "\w+"\)/.exec(near)?.[1];
    if (reference) return objectType(this.#struct(reference));
    const getter = /get(Number)?ListAttribute/.exec(near);
    if (getter) return [near.includes('Fn.tolist') ? 'set' : 'list', getter[1] ? 'number' : 'string'];
    if (near.includes('getNumberAttribute')) return 'number';
    if (near.includes('getBooleanAttribute')) return 'bool';
    return 'string';
  }
}

function readArguments(code: string): Argument[] {
  return [
    ...code.matchAll(
      /^\s+"?(\w+)"?: \{\n\s+value: (.*),\n\s+isBlock: (true|false),\n\s+type: "(\w+)",\n\s+storageClassType: "(\w+)",\n\s+\}/gm,
    ),
  ].map(([, name, value, isBlock, type, storageClass]) => ({
    name: name!,
    value: value!,
    isBlock: isBlock === 'true',
    type: type!,
    storageClass: storageClass!,
  }));
}

function readFlags(body: string): Map<string, CommentedFlags> {
  const comment =
    /\/\/ (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n(?=((?:.*\n){1,3}))/g;
  return new Map(
    [...body.matchAll(comment)].map(([, name, computed, optional, required, code]) => [
      name!,
      {
        computed: computed === 'true',
        optional: optional === 'true',
        required: required === 'true',
        code: code!,
      },
    ]),
  );
}

/** Older generators leave the comments out; what is optional can be reset. */
function flagsByReset(name: string, body: string): Flags {
  const pascal = name.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
  const required = body !== '' && !body.includes(`reset${pascal}(`);
  return { required, optional: !required, computed: false };
}

function flagsOnly({ required, optional, computed }: Flags): Flags {
  return { required, optional, computed };
}

/** `storageClass` such as string, stringList, stringMap, stringListList, anyMap. */
function simpleType(type: string, storageClass: string): Type {
  const [, primitive, outer, inner] =
    /^(string|number|boolean|any)(List|Map)?(List|Map)?$/.exec(storageClass) ?? [];
  const element = primitives[primitive ?? ''] ?? 'string';
  if (!outer) return element;
  if (inner) return [type === 'set' ? 'set' : 'list', [outer.toLowerCase(), element]];
  return [outer === 'Map' ? 'map' : type === 'set' ? 'set' : 'list', element];
}

function objectType(block: Block): Type {
  const members: Record<string, Type> = {};
  for (const [name, { type }] of Object.entries(block.attributes)) members[name] = type;
  for (const [name, { nesting, block: nested }] of Object.entries(block.blocks))
    members[name] = nesting === 'single' ? objectType(nested) : [nesting, objectType(nested)];
  return ['object', members];
}
