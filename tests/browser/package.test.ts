import { VERSION, isSDError } from '../../dist/index.js';
import { equal } from './assert.ts';

describe('the package', () => {
  it('loads in a browser as it was built', () => {
    equal(typeof VERSION, 'string');
    equal(isSDError(new Error('other')), false);
    equal(crossOriginIsolated, true);
  });
});
