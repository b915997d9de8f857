/** The address of a server that is asked over HTTP for something else than agents' calls. */
import { z } from 'zod';

/** `http://host:port` or `https://…`: no path, no query, and user and password elsewhere. */
export const serverUrl = z
  .url({
    protocol: /^https?$/,
    error: 'expected an http or https URL such as "http://127.0.0.1:2379"',
    abort: true,
  })
  .refine((text) => !/^https?:\/\/[^/]*@/.test(text), {
    error: 'expected a URL without user and password',
    abort: true,
  })
  .refine((text) => /^https?:\/\/[^/?#]+\/?$/.test(text), {
    error: 'expected a URL without path, query and fragment',
  })
  .meta({ id: 'ServerUrl', description: 'Address of a server: scheme, host and port.' });
