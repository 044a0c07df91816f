import { StacklessError } from '../../core/errors.ts';

/** Records that the protocol allows, but that cannot be taken in: damaged or too large. Built without a stack trace. */
export class UnreadableRecords extends StacklessError {}
