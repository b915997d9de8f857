/** Lets clients name the one endpoint that is to answer. */
import { z } from 'zod';
import { headerName } from './scalars.ts';

export const sendToOneSchema = z
  .strictObject({
    header: headerName
      .default('x-outrigger-endpoint')
      .describe('Request field with the name or the instance of an endpoint. It is not passed on.'),
  })
  .describe('Clients may name the one endpoint that answers, and are told which one did.');

export type SendToOneOptions = z.output<typeof sendToOneSchema>;
