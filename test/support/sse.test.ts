import { expect, test } from 'vitest';
import { eventData, splitEvents } from './sse.ts';

test('splits events, whatever the line ends, and keeps what was cut', () => {
  const text =
    ':ping\r\n\r\nevent: a\r\ndata:1\r\ndata: 2\r\nid: 9\r\nretry: 50\r\n\r\n\n\ndata\n\ndata: cut';
  expect(splitEvents(Buffer.from(text))).toEqual({
    events: [
      { event: 'message', data: '', comments: ['ping'] },
      { event: 'a', data: '1\n2', id: '9', retry: 50, comments: [] },
      { event: 'message', data: '', comments: [] },
    ],
    rest: 'data: cut',
  });
  expect(eventData('data: x\n\n: c\n\ndata: y\n\n')).toEqual(['x', 'y']);
});
